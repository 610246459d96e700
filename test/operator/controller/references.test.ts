// Policies of confidential VMs: what the operator stores of them, and when it reads their text.
import { describe, expect, it } from 'vitest';
import { linuxUtilityVMSpec } from '../../../crds/linux-utility-vm.ts';
import { desiredMachine } from '../../../operator/controller/instructions/assignment.ts';
import { BriefTexts } from '../../../operator/controller/instructions/brief-texts.ts';
import { ReferenceReader } from '../../../operator/controller/instructions/references.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { optionsDigest, sha256Hex } from '../../../protocol/digest.ts';
import { limits } from '../../../protocol/messages.ts';
import { fromSpec } from '../../../protocol/options.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine } from '../../support/operator/objects.ts';

const policy = Buffer.from('package policy').toString('base64');

/** An API server that has these objects, by path. */
function bed() {
  const clock = new ManualClock();
  const objects = new Map<string, object>();
  const requests: string[] = [];
  const http = {
    request: async ({ path }: { path: string }) => {
      requests.push(path);
      const value = objects.get(path);
      if (value !== undefined) return { ok: true, value } as const;
      const error = { code: 404, reason: 'NotFound', message: `${path} not found`, retryable: false };
      return { ok: false, error } as const;
    },
  };
  return { clock, objects, requests, reader: new ReferenceReader(http, clock) };
}

const configMap = (name: string) => `/api/v1/namespaces/default/configmaps/${name}`;

function referring(name: string, key = 'web'): VirtualMachine {
  return makeMachine({
    metadata: { name: `vm-${name}-${key}`, uid: `uid-${name}-${key}` },
    spec: { memory: { sizeInMB: 512 }, confidential: { securityPolicyFrom: { configMapKeyRef: { name, key } } } },
  });
}

it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
  'a key with the name of a property of every JavaScript object is missing like any other: %s',
  async (key) => {
    const { objects, reader } = bed();
    const object = referring('policies', key);
    objects.set(configMap('policies'), { data: { web: policy } });
    const message = `confidential.securityPolicyFrom: ConfigMap policies has no key ${key}`;
    expect(await reader.read(object)).toEqual({ ok: false, verdict: { reason: 'ReferenceUnreadable', message } });
    expect((await reader.text(object, sha256Hex(policy))).ok).toBe(false);
  },
);

describe('a policy in a spec', () => {
  const spec = { memory: { sizeInMB: 512 }, confidential: { securityPolicy: policy } };
  const raw = { metadata: { ...makeMachine().metadata, name: 'secret' }, spec };

  it('is stored as its digests, and the VM is assigned by digest as it would be by text', () => {
    const object = parseVirtualMachine(raw);
    if (object?.spec.ok !== true) throw new Error('the spec was not read');
    expect(JSON.stringify(object)).not.toContain(policy);
    const options = fromSpec(linuxUtilityVMSpec.parse(spec));
    expect(options.SecurityPolicy).toBe(policy);
    expect(object.spec.policy).toEqual({ sha256: sha256Hex(policy), optionsDigest: optionsDigest(options) });
    const { assignment } = desiredMachine(object, object.spec.value, object.spec.policy);
    const { SecurityPolicy, ...others } = options;
    expect(assignment).toMatchObject({ options: others, policySHA256: sha256Hex(policy) });
    expect(assignment.optionsDigest).toBe(optionsDigest(options));
  });

  it('is read when it must be sent, and is not used if its digest has changed', async () => {
    const { objects, reader, requests } = bed();
    const object = parseVirtualMachine(raw);
    if (object === undefined) throw new Error('the object was not read');
    const path = '/apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvms/secret';
    objects.set(path, raw);
    expect(await reader.read(object)).toMatchObject({ ok: true, policy: { sha256: sha256Hex(policy) } });
    expect(requests).toEqual([]);
    expect(await reader.text(object, sha256Hex(policy))).toEqual({ ok: true, text: policy });
    objects.set(path, { ...raw, spec: { ...spec, confidential: { securityPolicy: 'b3RoZXI=' } } });
    expect((await reader.text(object, sha256Hex(policy))).ok).toBe(false);
  });
});

describe('a policy in a ConfigMap', () => {
  it('is read once for many VMs, and again after 30 s', async () => {
    const { clock, objects, reader, requests } = bed();
    objects.set(configMap('policies'), { data: { web: policy, other: 'b3RoZXI=' } });
    for (let each = 0; each < 100; each += 1) {
      const machine = referring('policies');
      const read = await reader.read(machine);
      expect(read).toMatchObject({ ok: true, policy: { sha256: sha256Hex(policy) } });
    }
    expect(requests).toHaveLength(1);
    expect(await reader.text(referring('policies'), sha256Hex(policy))).toEqual({ ok: true, text: policy });
    expect(requests).toHaveLength(1);
    const machine = referring('policies');
    await reader.read(machine);
    objects.set(configMap('policies'), { data: { web: 'Y2hhbmdlZA==' } });
    await clock.advance(31_000);
    expect(await reader.read(machine)).toMatchObject({ policy: { sha256: sha256Hex('Y2hhbmdlZA==') } });
    expect(requests).toHaveLength(2);
  });

  it('reports what is missing, and what is too large for any agent', async () => {
    const { objects, reader } = bed();
    objects.set(configMap('policies'), {
      data: { long: 'x'.repeat(limits.policyChars + 1), wide: '\u0001'.repeat(limits.policyChars) },
    });
    const messageOf = async (machine: VirtualMachine) => {
      const read = await reader.read(machine);
      return read.ok ? '' : read.verdict.message;
    };
    expect(await messageOf(referring('absent'))).toContain('ConfigMap absent cannot be read');
    expect(await messageOf(referring('policies', 'none'))).toContain('ConfigMap policies has no key none');
    expect(await messageOf(referring('policies', 'long'))).toContain('262145 characters under key long');
    expect(await messageOf(referring('policies', 'wide'))).toContain('too large under key wide');
  });

  it('that was edited before its text was read for sending is reported with its new digest', async () => {
    const { clock, objects, reader } = bed();
    objects.set(configMap('policies'), { data: { web: policy } });
    const before = referring('policies');
    await reader.read(before);
    await clock.advance(10_000);
    objects.set(configMap('policies'), { data: { web: 'Y2hhbmdlZA==' } });
    for (let each = 0; each < 40; each += 1) {
      objects.set(configMap(`large-${each}`), { data: { web: `${each}`.padEnd(262_144, 'x') } });
      await reader.read(referring(`large-${each}`)); // together they use the room of short texts
    }
    expect((await reader.text(before, sha256Hex(policy))).ok).toBe(false);
    expect(await reader.read(before)).toMatchObject({ policy: { sha256: sha256Hex('Y2hhbmdlZA==') } });
  });
});

describe('texts that are needed briefly', () => {
  it('are bounded in characters, and dropped after two minutes', async () => {
    const clock = new ManualClock();
    const texts = new BriefTexts(clock);
    for (let each = 0; each < 100; each += 1) texts.set(`digest-${each}`, 'x'.repeat(262_144));
    expect(texts.chars).toBe(8 << 20);
    expect(texts.get('digest-0')).toBeUndefined();
    expect(texts.get('digest-99')).toBeDefined();
    await clock.advance(120_000);
    expect(texts.chars).toBe(0);
    expect(texts.get('digest-99')).toBeUndefined();
  });
});
