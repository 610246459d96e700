// How other tools judge the objects: in each situation by the rules of kstatus and by the Lua of Argo CD.
// health.install.test.ts asks the tools themselves.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LuaFactory } from 'wasmoon';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { nextHostStatus } from '../../operator/controller/status/host-status.ts';
import { kstatusOf } from '../support/charts/kstatus.ts';
import { machineIn, machineSituations, ready } from '../support/charts/machine-situations.ts';
import { setSituations } from '../support/charts/set-situations.ts';

const folder = fileURLToPath(new URL('../../charts/argocd/', import.meta.url));
const read = (file: string) => readFile(`${folder}${file}`, 'utf8');
const now = Date.parse('2026-01-01T00:00:00Z');

const health = z.object({ status: z.string(), message: z.string() });

async function argoHealthOf(script: string, object: unknown): Promise<string> {
  return (await judgedByArgo(script, object)).status;
}

async function judgedByArgo(script: string, object: unknown): Promise<z.infer<typeof health>> {
  return health.parse(await answerOf(script, object));
}

async function answerOf(script: string, object: unknown): Promise<unknown> {
  const lua = await new LuaFactory().createEngine();
  try {
    await lua.doString(`obj = ${luaLiteral(object)}`);
    return await lua.doString(await read(script));
  } finally {
    lua.global.close();
  }
}

function luaLiteral(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(luaLiteral).join(',')}}`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return `{${members.map(([name, member]) => `[${JSON.stringify(name)}]=${luaLiteral(member)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

describe('a LinuxUtilityVM that', () => {
  it.each(machineSituations)('$name', async ({ object, kstatus, argo }) => {
    expect(kstatusOf(object)).toBe(kstatus);
    expect(await argoHealthOf('linux-utility-vm-health.lua', object)).toBe(argo);
  });

  it('shows in Argo CD that it needs a restart, or since when it is paused', async () => {
    const restart = { type: 'RestartRequired', status: 'True', reason: 'RestartRequired', message: 'changed' } as const;
    const outdated = machineIn({ observed: { conditions: [ready('True', 'Running'), restart] } });
    expect(await judgedByArgo('linux-utility-vm-health.lua', outdated)).toMatchObject({
      status: 'Healthy',
      message: expect.stringContaining('RestartRequired: changed'),
    });
    const paused = machineIn({ metadata: { annotations: { 'lcow.dev/paused': '1' } }, observed: {} });
    expect(await judgedByArgo('linux-utility-vm-health.lua', paused)).toMatchObject({
      status: 'Suspended',
      message: expect.stringContaining('since 2026-01-01T00:00:00Z'),
    });
  });

  it.each([
    ['1', 'Suspended'],
    ['True', 'Suspended'],
    ['false', 'Progressing'],
    ['yes', 'Progressing'],
  ])('is to be paused by %s, which no operator has seen yet, is %s', async (value, argo) => {
    const metadata = { name: 'vm', generation: 1, annotations: { 'lcow.dev/paused': value } };
    const object = { metadata, status: { observedGeneration: 0 } };
    expect(await argoHealthOf('linux-utility-vm-health.lua', object)).toBe(argo);
  });
});

describe('a LinuxUtilityVMSet that', () => {
  it.each(setSituations)('$name', async ({ object, kstatus, argo }) => {
    expect(kstatusOf(object)).toBe(kstatus);
    expect(await argoHealthOf('linux-utility-vm-set-health.lua', object)).toBe(argo);
  });
});

describe('a LinuxUtilityVMHost', () => {
  it.each([
    ['Connected', 'Healthy'],
    ['Disconnected', 'Degraded'],
  ] as const)('that is %s is %s', async (connection, argo) => {
    const status = nextHostStatus({
      stored: {},
      generation: 1,
      introduction: undefined,
      session: undefined,
      connection,
      virtualMachines: { desired: 0, running: 0 },
      now,
    });
    const object = { metadata: { name: 'a', generation: 1 }, status };
    expect(kstatusOf(object)).toBe('Current');
    expect(await argoHealthOf('linux-utility-vm-host-health.lua', object)).toBe(argo);
  });

  it('is progressing while the operator has not seen it', async () => {
    const object = { metadata: { name: 'a', generation: 1 }, status: { observedGeneration: 0 } };
    expect(kstatusOf(object)).toBe('InProgress');
    expect(await argoHealthOf('linux-utility-vm-host-health.lua', object)).toBe('Progressing');
  });
});

describe('the actions of Argo CD', () => {
  const machine = (runStrategy: string, metadata: object = {}) => ({
    metadata: { name: 'vm', ...metadata },
    spec: { runStrategy },
  });
  const offers = z.record(z.string(), z.object({ disabled: z.boolean() }));
  const changed = z.object({
    metadata: z.object({ annotations: z.union([z.record(z.string(), z.string()), z.array(z.never())]).optional() }),
    spec: z.object({ runStrategy: z.string() }),
  });

  async function act(action: string, object: unknown) {
    return changed.parse(await answerOf(`linux-utility-vm-${action}.lua`, object));
  }

  it.each([
    ['Always', {}, ['halt', 'restart']],
    ['Once', {}, ['halt', 'restart']],
    ['Halted', {}, ['start']],
    ['Always', { deletionTimestamp: '2026-01-01T00:00:00Z' }, []],
  ])('of a VM that is %s %j are %j', async (runStrategy, metadata, enabled) => {
    const found = offers.parse(await answerOf('linux-utility-vm-actions.lua', machine(runStrategy, metadata)));
    const open = Object.entries(found).filter(([, { disabled }]) => !disabled);
    expect(open.map(([name]) => name).toSorted()).toEqual(enabled);
  });

  it('restart writes the time, and changes nothing else', async () => {
    const annotations = { 'example.com/mine': 'kept' };
    const after = await act('restart', machine('Once', { annotations }));
    expect(after.spec).toEqual({ runStrategy: 'Once' });
    expect(after.metadata.annotations).toEqual({
      'example.com/mine': 'kept',
      'lcow.dev/restartedAt': expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
    expect(Object.keys((await act('restart', machine('Once'))).metadata.annotations ?? {})).toHaveLength(1);
  });

  it('halt stops a VM, and start restores the earlier run strategy', async () => {
    const halted = await act('halt', machine('RerunOnFailure'));
    expect(halted.spec.runStrategy).toBe('Halted');
    const started = await act('start', halted);
    expect(started.spec.runStrategy).toBe('RerunOnFailure');
    expect(Object.keys(started.metadata.annotations ?? {})).toEqual([]);
    expect((await act('start', machine('Halted'))).spec.runStrategy).toBe('Always');
  });
});

it('argocd-cm.yaml contains exactly the scripts', async () => {
  const actions = z.object({ data: z.record(z.string(), z.string()) }).parse(parse(await read('argocd-cm.yaml')));
  const { 'resource.customizations.actions.lcow.dev_LinuxUtilityVM': ofMachine = '', ...data } = actions.data;
  const definitions = ['restart', 'halt', 'start'].map(async (name) => {
    return { name, 'action.lua': await read(`linux-utility-vm-${name}.lua`) };
  });
  expect(parse(ofMachine)).toEqual({
    'discovery.lua': await read('linux-utility-vm-actions.lua'),
    definitions: await Promise.all(definitions),
  });
  expect({ data }).toEqual({
    data: {
      'resource.customizations.health.lcow.dev_LinuxUtilityVM': await read('linux-utility-vm-health.lua'),
      'resource.customizations.health.lcow.dev_LinuxUtilityVMSet': await read('linux-utility-vm-set-health.lua'),
      'resource.customizations.health.lcow.dev_LinuxUtilityVMHost': await read('linux-utility-vm-host-health.lua'),
    },
  });
});

describe('the GitOps examples', () => {
  const examples = fileURLToPath(new URL('../../examples/gitops/', import.meta.url));
  const objectsIn = async (file: string): Promise<unknown[]> =>
    parseAllDocuments(await readFile(`${examples}${file}`, 'utf8')).map((each): unknown => each.toJS());

  it('make Argo CD tolerate VMs whose kind the cluster does not know yet', async () => {
    expect(JSON.stringify(await objectsIn('argocd/fleet.yaml'))).toContain('"SkipDryRunOnMissingResource=true"');
  });
});
