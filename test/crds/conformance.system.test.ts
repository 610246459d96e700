// Applies manifests to a real API server: good ones are accepted, and bad ones are refused with a message that names
// the field and the fix.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { finalizer, linuxUtilityVM, linuxUtilityVMKind } from '../../crds/linux-utility-vm.ts';
import { linuxUtilityVMHost } from '../../crds/linux-utility-vm-host.ts';
import { oddFileNames, oddPaths, ordinaryPaths } from '../support/agent/odd-spellings.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';
import { ApiProxy, type ApiResponse } from '../support/control-plane/proxy.ts';
import type { ProvidedCluster } from '../support/control-plane/shared.ts';
import { sharedCluster } from '../support/control-plane/shared-cluster.ts';

const spec = z.record(z.string(), z.unknown());
const good = z.array(z.strictObject({ name: z.string(), spec })).parse(manifests('good'));
const bad = z
  .array(z.strictObject({ name: z.string(), spec, field: z.string(), says: z.string() }))
  .parse(manifests('bad'));

function manifests(name: string): unknown {
  return parse(readFileSync(new URL(`./manifests/${name}.yaml`, import.meta.url), 'utf8'));
}

const resources = '/apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvms';
const hosts = '/apis/lcow.dev/v1alpha1/linuxutilityvmhosts';

/** The members of metav1.Status that explain a refusal. */
const refusal = z.object({ status: z.literal('Failure'), message: z.string() });
const resourceVersioned = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

let cluster: ProvidedCluster;
let api: ApiProxy;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  cluster = await sharedCluster();
  api = await ApiProxy.open(cluster);
  cleanUp.unshift(() => api[Symbol.asyncDispose]());
});

afterAll(async () => {
  for (const step of cleanUp) await step();
});

function manifest(name: string, spec: unknown) {
  return { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata: { name }, spec };
}

function uniqueName(): string {
  return `conformance-${randomUUID()}`;
}

function apply(name: string, spec: unknown, dryRun: boolean): Promise<ApiResponse> {
  const query = `fieldManager=conformance&fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
  return api.patch(`${resources}/${name}?${query}`, 'apply-patch+yaml', manifest(name, spec));
}

function writeStatus(path: string, status: unknown): Promise<ApiResponse> {
  return api.patch(`${path}/status`, 'merge-patch+json', { status });
}

/** Creates a VM from the spec. It is deleted after the tests. */
async function create(spec: unknown): Promise<string> {
  const name = uniqueName();
  const { status, body } = await apply(name, spec, false);
  expect(body, JSON.stringify(body)).toMatchObject({ kind: 'LinuxUtilityVM' });
  expect(status).toBe(201);
  cleanUp.unshift(() => api.request('DELETE', `${resources}/${name}`));
  return name;
}

function expectRefusal({ status, body }: ApiResponse, field: string, says: string): void {
  const { message } = refusal.parse(body);
  expect(message).toContain(field);
  expect(message).toContain(says);
  // Unknown fields and duplicate keys are found while the patch is parsed, other errors when the result is validated.
  expect([400, 422, 500]).toContain(status);
}

test('there are enough manifests, each with its own name', () => {
  expect(good.length).toBeGreaterThanOrEqual(45);
  expect(bad.length).toBeGreaterThanOrEqual(65);
  const names = [...good, ...bad].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

describe('the API server accepts', () => {
  test.each(good)('$name', async ({ spec }) => {
    const { status, body } = await apply(uniqueName(), spec, true);
    expect(status, JSON.stringify(body)).toBe(201);
    // The programs read the object that it returns, with defaults.
    expect(linuxUtilityVM.safeParse(body).error).toBeUndefined();
  });
});

describe('the API server refuses', () => {
  test.each(bad)('$name', async ({ spec, field, says }) => {
    expectRefusal(await apply(uniqueName(), spec, true), field, says);
  });
});

describe('the API server refuses odd spellings of a path', () => {
  const diskNamed = (path: string, index: number) => ({ name: `disk-${index}`, path });
  const problems = async (spec: unknown) => {
    const { body } = await apply(uniqueName(), spec, true);
    return refusal.parse(body).message;
  };

  test('as a disk', async () => {
    for (let first = 0; first < oddPaths.length; first += 128) {
      const some = oddPaths.slice(first, first + 128);
      const message = await problems({ storage: { disks: some.map(diskNamed) } });
      const passed = some.filter((_, index) => !message.includes(`spec.storage.disks[${index}].path:`));
      expect(passed).toEqual([]);
    }
    const { status } = await apply(uniqueName(), { storage: { disks: ordinaryPaths.map(diskNamed) } }, true);
    expect(status).toBe(201);
  });

  test('as a file in the boot folder', async () => {
    const fields = ['boot.kernelFile', 'boot.rootFSFile'];
    const confidential = [
      'guestStateFile',
      'dmVerityRootFSVhd',
      'uvmReferenceInfoFile',
      'uvmHashEnvelopeReferenceInfoFile',
    ];
    for (const name of oddFileNames) {
      const message = await problems({
        boot: { kernelFile: name, rootFSFile: name },
        confidential: { securityPolicy: 'YQ==', ...Object.fromEntries(confidential.map((field) => [field, name])) },
      });
      const passed = [...fields, ...confidential.map((field) => `confidential.${field}`)].filter(
        (field) => !message.includes(`spec.${field}:`),
      );
      expect(passed, name).toEqual([]);
    }
  });
});

test('the API server refuses a VM without a spec', async () => {
  expectRefusal(await apply(uniqueName(), undefined, true), 'spec', 'Required value');
});

test('the defaults that depend neither on the host nor on other fields are filled in', async () => {
  const { body } = await apply(
    uniqueName(),
    {
      devices: { assigned: [{ instanceID: 'A' }] },
      storage: { disks: [{ name: 'a', path: 'C:\\a.vhdx' }] },
      confidential: { securityPolicy: 'YQ==' },
    },
    true,
  );
  expect(body).toMatchObject({
    spec: {
      runStrategy: 'Always',
      updateStrategy: 'OnRestart',
      terminateOnAgentExit: true,
      memory: { sizeInMB: 1024 },
      devices: { assigned: [{ instanceID: 'A', virtualFunction: 0 }] },
      storage: { disks: [{ name: 'a', path: 'C:\\a.vhdx', readOnly: false }] },
      confidential: { securityPolicy: 'YQ==', isolation: 'SNP' },
    },
  });
});

describe('spec.nodeName', () => {
  test('can change while status.nodeName is absent', async () => {
    const name = await create({ nodeName: 'a' });
    expect((await apply(name, { nodeName: 'b' }, false)).status).toBe(200);
    expect((await apply(name, {}, false)).status).toBe(200);
    expect((await apply(name, { nodeName: 'c' }, false)).status).toBe(200);
  });

  test.each([
    ['changed', { nodeName: 'a' }, { nodeName: 'b' }],
    ['removed', { nodeName: 'a' }, {}],
    ['added', {}, { nodeName: 'a' }],
  ])('cannot be %s while status.nodeName is set', async (_, before, after) => {
    const name = await create(before);
    await writeStatus(`${resources}/${name}`, { nodeName: 'a' });
    const says = 'can change only while status.nodeName is absent: delete the VM and create it anew to move it';
    expectRefusal(await apply(name, after, false), 'spec.nodeName', says);
    expect((await apply(name, { ...before, runStrategy: 'Halted' }, false)).status).toBe(200);
  });
});

test('status.nodeName can change from one node to another only by being unset first', async () => {
  const path = `${resources}/${await create({})}`;
  expect((await writeStatus(path, { nodeName: 'a', phase: 'Scheduled' })).status).toBe(200);
  expectRefusal(
    await writeStatus(path, { nodeName: 'b' }),
    'status.nodeName',
    'must become absent before it names another node',
  );
  expect((await writeStatus(path, { nodeName: null })).status).toBe(200);
  expect((await writeStatus(path, { nodeName: 'b' })).status).toBe(200);
});

test('a complete status is stored unchanged', async () => {
  const path = `${resources}/${await create({})}`;
  const status = wholeStatus();
  const { body } = await writeStatus(path, status);
  expect(body).toMatchObject({ status });
  expect(linuxUtilityVM.parse(body).status).toEqual(status);
});

describe('kstatus waits from the beginning, because generation is 1 and observedGeneration is 0 for', () => {
  const seen = async (path: string) => {
    const { body } = await api.request('GET', path);
    return z.object({ metadata: z.object({ generation: z.number() }), status: z.unknown() }).parse(body);
  };

  test('a VM', async () => {
    const path = `${resources}/${await create({})}`;
    expect(await seen(path)).toMatchObject({ metadata: { generation: 1 }, status: { observedGeneration: 0 } });
    // Written by an operator that is older than the field.
    await writeStatus(path, { phase: 'Pending', observedGeneration: null });
    expect((await seen(path)).status).toEqual({ phase: 'Pending', observedGeneration: 0 });
  });

  test('a host', async () => {
    const name = uniqueName();
    const metadata = { name };
    await api.request('POST', hosts, { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVMHost', metadata });
    cleanUp.unshift(() => api.request('DELETE', `${hosts}/${name}`));
    const path = `${hosts}/${name}`;
    expect(await seen(path)).toMatchObject({ metadata: { generation: 1 }, status: { observedGeneration: 0 } });
  });
});

test('a status beyond its bounds is refused', async () => {
  const path = `${resources}/${await create({})}`;
  const lines = Array.from({ length: 16 }, (_, line) => `line ${line}`);
  expectRefusal(await writeStatus(path, { guestLog: { tail: lines } }), 'status.guestLog.tail', 'at most 15 items');
  expectRefusal(await writeStatus(path, { phase: 'Sleeping' }), 'status.phase', 'supported values: "Pending"');
});

test('VMs are selected by status.nodeName and status.phase', async () => {
  const name = await create({});
  await writeStatus(`${resources}/${name}`, { nodeName: name.slice(-12), phase: 'Running' });
  const { body } = await api.request(
    'GET',
    `${resources}?fieldSelector=status.nodeName=${name.slice(-12)},status.phase=Running`,
  );
  expect(body).toMatchObject({ items: [{ metadata: { name } }] });
});

test('a host is created with or without a spec, and gets its status', async () => {
  const name = uniqueName();
  const host = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVMHost', metadata: { name } };
  const created = await api.request('POST', `${hosts}?fieldValidation=Strict`, host);
  cleanUp.unshift(() => api.request('DELETE', `${hosts}/${name}`));
  expect(linuxUtilityVMHost.parse(created.body).spec).toEqual({ memoryOvercommitPercent: 100 });
  const status = {
    observedGeneration: 1,
    conditions: [condition('Connected')],
    session: { replica: 'lcow-operator-0', epoch: 3, nodeUID: randomUUID() },
    agentVersion: '0.1.0',
    osBuild: 26100,
    architecture: 'amd64',
    logicalProcessors: 16,
    memoryInMB: 65536,
    numaNodes: [{ number: 0, logicalProcessors: 16, memoryInMB: 65536 }],
    isolation: ['SNP'],
    bootFiles: [{ path: 'C:\\LinuxBootFiles', files: ['kernel', 'initrd.img'] }],
    virtualMachines: { desired: 2, running: 1 },
  };
  const written = await writeStatus(`${hosts}/${name}`, status);
  expect(linuxUtilityVMHost.parse(written.body).status).toEqual(status);
  const patched = await api.patch(`${hosts}/${name}`, 'merge-patch+json', { spec: { memoryOvercommitPercent: 0 } });
  expectRefusal(patched, 'spec.memoryOvercommitPercent', 'greater than or equal to 1');
});

describe('kubectl', () => {
  const header = async (...args: string[]) => (await kubectl(cluster, ['get', ...args])).split('\n')[0]?.split(/ {2,}/);

  test('shows the columns of VMs', async () => {
    await create({});
    expect(await header('luvm')).toEqual(['NAME', 'PHASE', 'READY', 'NODE', 'RESTARTS', 'AGE']);
    const wide = ['REASON', 'PAUSED', 'STRATEGY', 'GUEST', 'CPUS', 'MEMORY', 'ISOLATION', 'LAST EXIT', 'RUNTIME ID'];
    expect(await header('luvm', '-o', 'wide')).toEqual(expect.arrayContaining(wide));
    expect(await kubectl(cluster, ['get', 'lcow', '-o', 'name'])).toContain('linuxutilityvm.lcow.dev/');
    expect(await kubectl(cluster, ['get', 'luvms', '-o', 'name'])).toContain('linuxutilityvm.lcow.dev/');
  });

  test('shows the columns of hosts', async () => {
    const name = uniqueName();
    await api.request('POST', hosts, {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVMHost',
      metadata: { name },
    });
    cleanUp.unshift(() => api.request('DELETE', `${hosts}/${name}`));
    expect(await kubectl(cluster, ['get', 'luvmhosts', '-o', 'name'])).toContain(name);
    expect(await header('luvmhost')).toEqual(['NAME', 'CONNECTED', 'BUILD', 'CPUS', 'VMS', 'AGENT', 'AGE']);
  });

  test('explains a field', async () => {
    expect(await kubectl(cluster, ['explain', 'luvm.spec.boot.kernelFile'])).toContain('Kernel in that folder.');
  });
});

describe('an object whose spec a later version forbids', () => {
  const group = `conformance-${randomUUID().slice(0, 8)}.lcow.dev`;
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const definitionPath = `${definitions}/linuxutilityvms.${group}`;
  const path = `/apis/${group}/v1alpha1/namespaces/default/linuxutilityvms`;
  const spec = { processor: { count: 64 }, boot: { kernelOptions: 'debug' } };

  function vm(name: string) {
    const metadata = { name, finalizers: [finalizer] };
    return { apiVersion: `${group}/v1alpha1`, kind: 'LinuxUtilityVM', metadata, spec };
  }

  /** Defines the kind in its own group, so that the other tests are not affected. */
  async function define(): Promise<void> {
    const original = customResourceDefinition(linuxUtilityVMKind);
    const { shortNames: _, categories: __, ...names } = original.spec.names;
    await api.request('POST', definitions, {
      ...original,
      metadata: { name: `linuxutilityvms.${group}` },
      spec: { ...original.spec, group, names },
    });
    cleanUp.unshift(() => api.request('DELETE', definitionPath));
  }

  async function tighten(): Promise<void> {
    const schema = '/spec/versions/0/schema/openAPIV3Schema/properties/spec';
    const rule = { rule: '!has(self.boot)', message: 'boot must be left out' };
    const { status, body } = await api.patch(definitionPath, 'json-patch+json', [
      { op: 'replace', path: `${schema}/properties/processor/properties/count/maximum`, value: 32 },
      { op: 'add', path: `${schema}/x-kubernetes-validations/-`, value: rule },
    ]);
    expect(status, JSON.stringify(body)).toBe(200);
  }

  /** Creates an object until the answer is as expected, because the API server applies a new schema with a delay. */
  async function untilCreating(name: string, expected: number, query = ''): Promise<void> {
    const attempt = async () => (await api.request('POST', `${path}${query}`, vm(name))).status;
    await expect.poll(attempt, { timeout: 15_000 }).toBe(expected);
  }

  test('still gets its status, and can be deleted and lose its finalizer', { timeout: 40_000 }, async () => {
    await define();
    await untilCreating('old', 201);
    await tighten();
    await untilCreating('new', 422, '?dryRun=All');

    const { metadata } = resourceVersioned.parse((await api.request('GET', `${path}/old`)).body);
    const put = await api.request('PUT', `${path}/old/status`, {
      ...vm('old'),
      metadata: { name: 'old', resourceVersion: metadata.resourceVersion },
      status: { phase: 'Running', nodeName: 'a' },
    });
    expect(put.status, JSON.stringify(put.body)).toBe(200);

    await api.request('DELETE', `${path}/old`);
    const patch = await api.patch(`${path}/old`, 'merge-patch+json', { metadata: { finalizers: null } });
    expect(patch.status, JSON.stringify(patch.body)).toBe(200);
    expect((await api.request('GET', `${path}/old`)).status).toBe(404);
  });
});

function condition(type: string) {
  return {
    type,
    status: 'True' as const,
    reason: 'Running',
    message: 'the VM runs',
    lastTransitionTime: '2026-11-24T10:00:00Z',
    observedGeneration: 1,
  };
}

/** A status with every member. */
function wholeStatus() {
  const time = '2026-11-24T10:00:00Z';
  const digest = 'a'.repeat(64);
  return {
    observedGeneration: 1,
    phase: 'Running' as const,
    nodeName: 'win-1',
    systemID: `luvm-${randomUUID()}`,
    runtimeID: randomUUID(),
    startTime: time,
    restarts: 2,
    restartedAt: time,
    lastExit: { type: 'UnexpectedExit', time, message: 'the guest crashed' },
    documentDigest: digest,
    optionsDigest: digest,
    policyDigest: digest,
    processorCount: 2,
    memorySizeInMB: 1024,
    guest: { osType: 'Linux', protocolVersion: 4, capabilities: ['SignalProcessSupported'] },
    guestLog: { head: ['first'], tail: ['last'], total: 2, dropped: 0 },
    startFailure: { count: 1, retryAfter: time },
    bootTimings: { prepared: time, created: time, started: time, entropy: time, log: time, guestConnected: time },
    warnings: ['the processor count was lowered'],
    devices: {
      vpmem: [{ slot: 0, path: 'C:\\rootfs.vhd' }],
      scsi: [{ controller: 0, lun: 0, path: 'C:\\data.vhdx' }],
      assigned: [{ instanceID: 'PCIP\\A', vmbusID: randomUUID() }],
    },
    conditions: [condition('Ready'), condition('Created')],
  };
}
