// How other tools judge the objects: one table of situations, each with the verdict of kstatus and that of Argo CD,
// whose Lua runs here as in Argo CD. The operator's own code writes the statuses.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { LuaFactory } from 'wasmoon';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { LinuxUtilityVMSetStatus } from '../../crds/linux-utility-vm-set.ts';
import { setStatus } from '../../operator/controller/sets/set-status.ts';
import { nextHostStatus } from '../../operator/controller/status/host-status.ts';
import { nextStatus, type StatusInputs } from '../../operator/controller/status/status.ts';
import type { VirtualMachine } from '../../operator/kubernetes/objects.ts';
import type { ObservedVirtualMachine } from '../../protocol/messages.ts';
import { type KStatus, kstatusOf } from '../support/charts/kstatus.ts';
import { makeMachine, makeSet, someUid } from '../support/operator/objects.ts';
import { observedMachine } from '../support/operator/scripted-agent.ts';
import * as sets from '../support/operator/set-views.ts';

const folder = fileURLToPath(new URL('../../charts/argocd/', import.meta.url));
const read = (file: string) => readFile(`${folder}${file}`, 'utf8');
const now = Date.parse('2026-01-01T00:00:00Z');

type ArgoHealth = 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';
const health = z.object({ status: z.string(), message: z.string() });

const expressions = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  inProgress: z.string(),
  failed: z.string(),
  current: z.string(),
});
const fluxChecks = z.looseObject({
  spec: z.looseObject({ healthCheckExprs: z.array(expressions).default([]) }).default({ healthCheckExprs: [] }),
});

interface Judged {
  readonly metadata: { readonly generation: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** The subset of CEL in the example is almost JavaScript. */
function isTrue(expression: string, { metadata, status }: Judged): boolean {
  const script = expression
    .replaceAll(/has\((status\.\w+)\)/g, '($1 !== undefined)')
    .replaceAll(/\.exists\((\w+), /g, '.some(($1) => ');
  return runInNewContext(script, { metadata, status }) === true;
}

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

const ready = (status: 'True' | 'False', reason: string) =>
  ({ type: 'Ready', status, reason, message: reason }) as const;
const stalled = (reason: string) => ({ type: 'Stalled', status: 'True', reason, message: reason }) as const;

interface Situation {
  readonly metadata?: Partial<VirtualMachine['metadata']>;
  readonly observed?: Partial<ObservedVirtualMachine>;
  readonly inputs?: Partial<StatusInputs>;
}

function objectIn({ metadata = {}, observed, inputs = {} }: Situation) {
  const object = makeMachine({ metadata });
  const report =
    observed === undefined
      ? undefined
      : { observed: observedMachine(someUid, { generation: 1, ...observed }), failure: undefined };
  const status = nextStatus({
    object,
    nodeName: 'node-a',
    scheduled: { reason: 'Scheduled', message: 'placed on node-a' },
    report,
    disconnected: false,
    blocked: undefined,
    terminating: undefined,
    now,
    ...inputs,
  });
  return { metadata: object.metadata, status };
}

const verdict = (reason: 'Terminating' | 'HostDrained' | 'InvalidSpec' | 'ReferenceUnreadable' | 'NoRoom') =>
  ({ reason, message: reason }) as const;
const noHost = { nodeName: undefined, scheduled: { reason: 'NoHostFits', message: '0/3 hosts fit' } } as const;

const situations: readonly [string, Situation, KStatus, ArgoHealth][] = [
  ['fits nowhere', { inputs: noHost }, 'InProgress', 'Progressing'],
  ['placed, and its agent has not reported', {}, 'InProgress', 'Progressing'],
  ['boots', { observed: { phase: 'Starting', conditions: [ready('False', 'Starting')] } }, 'InProgress', 'Progressing'],
  ['runs', { observed: {} }, 'Current', 'Healthy'],
  [
    'runs, and a restart is required',
    {
      observed: { conditions: [ready('True', 'Running'), { ...stalled('RestartRequired'), type: 'RestartRequired' }] },
    },
    'Current',
    'Healthy',
  ],
  ['halted as asked', { observed: { phase: 'Stopped', conditions: [ready('True', 'Halted')] } }, 'Current', 'Healthy'],
  [
    'halted, and on no host',
    { inputs: { nodeName: undefined, scheduled: { reason: 'Halted', message: 'no host' }, rest: 'Halted' } },
    'Current',
    'Healthy',
  ],
  [
    'failed once, and on no host',
    { inputs: { nodeName: undefined, scheduled: { reason: 'Failed', message: 'no host' }, rest: 'Failed' } },
    'Failed',
    'Degraded',
  ],
  [
    'is to start, and waits for room',
    {
      observed: { phase: 'Stopped', conditions: [ready('True', 'Halted')] },
      inputs: { scheduled: { status: 'False', ...verdict('NoRoom') }, blocked: verdict('NoRoom') },
    },
    'InProgress',
    'Progressing',
  ],
  [
    'ended well, once',
    { observed: { phase: 'Stopped', conditions: [ready('True', 'Completed')] } },
    'Current',
    'Healthy',
  ],
  [
    'ended badly, once',
    { observed: { phase: 'Failed', conditions: [ready('False', 'Failed'), stalled('Failed')] } },
    'Failed',
    'Degraded',
  ],
  [
    'has no kernel',
    { observed: { phase: 'Failed', conditions: [ready('False', 'InvalidOptions'), stalled('InvalidOptions')] } },
    'Failed',
    'Degraded',
  ],
  [
    'failed to start for the first time',
    {
      observed: { phase: 'Failed', conditions: [ready('False', 'BootTimeout')], startFailure: { count: 1 } },
    },
    'InProgress',
    'Progressing',
  ],
  [
    'crash loop',
    {
      observed: { phase: 'Failed', conditions: [ready('False', 'BackOff')], startFailure: { count: 5 } },
    },
    'InProgress',
    'Degraded',
  ],
  [
    'changed, and the agent does not know yet',
    { metadata: { generation: 2 }, observed: {} },
    'InProgress',
    'Progressing',
  ],
  ['its agent is away', { observed: {}, inputs: { disconnected: true } }, 'InProgress', 'Degraded'],
  [
    'stopped by a drain',
    {
      observed: { phase: 'Stopped', conditions: [ready('True', 'Halted')] },
      inputs: { blocked: verdict('HostDrained') },
    },
    'InProgress',
    'Suspended',
  ],
  [
    'stored before the schema was tightened',
    { inputs: { ...noHost, blocked: verdict('InvalidSpec') } },
    'Failed',
    'Degraded',
  ],
  [
    'policy not there yet',
    { inputs: { ...noHost, blocked: verdict('ReferenceUnreadable') } },
    'InProgress',
    'Progressing',
  ],
  ['paused', { metadata: { annotations: { 'lcow.dev/paused': 'true' } }, observed: {} }, 'Current', 'Suspended'],
  [
    'being deleted',
    {
      metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
      observed: {},
      inputs: { terminating: verdict('Terminating') },
    },
    'Terminating',
    'Progressing',
  ],
  [
    'was torn down, and is held by somebody else',
    {
      metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
      inputs: { nodeName: undefined, terminating: verdict('Terminating'), tornDown: true },
    },
    'Terminating',
    'Progressing',
  ],
];

describe('a LinuxUtilityVM that', () => {
  it.each(situations)('%s', async (_name, situation, kstatus, argo) => {
    const object = objectIn(situation);
    expect(kstatusOf(object)).toBe(kstatus);
    expect(await argoHealthOf('linux-utility-vm-health.lua', object)).toBe(argo);
  });

  it('shows in Argo CD that it needs a restart, or since when it is paused', async () => {
    const restart = { type: 'RestartRequired', status: 'True', reason: 'RestartRequired', message: 'changed' } as const;
    const outdated = objectIn({ observed: { conditions: [ready('True', 'Running'), restart] } });
    expect(await judgedByArgo('linux-utility-vm-health.lua', outdated)).toMatchObject({
      status: 'Healthy',
      message: expect.stringContaining('RestartRequired: changed'),
    });
    const paused = objectIn({ metadata: { annotations: { 'lcow.dev/paused': '1' } }, observed: {} });
    expect(await judgedByArgo('linux-utility-vm-health.lua', paused)).toMatchObject({
      status: 'Suspended',
      message: expect.stringContaining('since 2026-01-01T00:00:00Z'),
    });
  });

  it('is progressing while the operator has not seen it', async () => {
    // As the API server returns it: the schema has this status as its default.
    const object = { metadata: { name: 'vm', generation: 1 }, status: { observedGeneration: 0 } };
    expect(kstatusOf(object)).toBe('InProgress');
    expect(await argoHealthOf('linux-utility-vm-health.lua', object)).toBe('Progressing');
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
  const script = 'linux-utility-vm-set-health.lua';
  const seen = { observedGeneration: 1, updateRevision: 'a', replicas: 2, updatedReplicas: 2 };
  const late = { ...seen, availableReplicas: 1, updatedAvailableReplicas: 1 };
  const overdue = { ...late, rollout: { progressedAt: '2026-01-01T00:00:00Z' } };
  const half = sets.view([sets.upAtA, sets.downAtA]);
  const all = sets.view([sets.upAtA, sets.upAtA]);

  it.each<[string, LinuxUtilityVMSetStatus, sets.SetSituation, KStatus, ArgoHealth]>([
    ['was just made', {}, { view: half }, 'InProgress', 'Progressing'],
    ['has all its VMs', seen, { view: all }, 'Current', 'Healthy'],
    ['has no VMs, as asked', seen, { view: sets.view([]) }, 'Current', 'Healthy'],
    ['waits for a VM', seen, { view: half }, 'InProgress', 'Progressing'],
    ['misses a VM', seen, { view: sets.view([sets.upAtA, undefined]) }, 'InProgress', 'Progressing'],
    ['made no progress for long', overdue, { view: half }, 'Failed', 'Degraded'],
    ['is paused, with all its VMs', seen, { view: { ...all, paused: true } }, 'Current', 'Suspended'],
    ['is paused, and waits for a VM', overdue, { view: { ...half, paused: true } }, 'InProgress', 'Suspended'],
    ['may not make VMs', seen, { view: half, reason: 'CreateRefused' }, 'InProgress', 'Progressing'],
    ['has a bad template', seen, { reason: 'TemplateInvalid' }, 'Failed', 'Degraded'],
    ['cannot be read', seen, { reason: 'InvalidSpec' }, 'Failed', 'Degraded'],
    ['lacks a name', seen, { view: half, reason: 'NameConflict' }, 'Failed', 'Degraded'],
    ['may not restart VMs', seen, { view: all, reason: 'LiveChangeRefused' }, 'Failed', 'Degraded'],
  ])('%s', async (_, stored, { view, reason }, kstatus, argo) => {
    const set = makeSet('x', { status: stored });
    const status = setStatus(set, view, reason && { reason, message: reason }, sets.now);
    const object = { metadata: set.metadata, status };
    expect(kstatusOf(object)).toBe(kstatus);
    expect(await argoHealthOf(script, object)).toBe(argo);
  });

  it('has a newer manifest than the operator has seen, or is being deleted, is progressing', async () => {
    const set = makeSet('x', { status: seen });
    const status = setStatus(set, all, undefined, sets.now);
    const newer = { metadata: { ...set.metadata, generation: 2 }, status };
    expect([kstatusOf(newer), await argoHealthOf(script, newer)]).toEqual(['InProgress', 'Progressing']);
    const ending = { metadata: { ...set.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' }, status };
    expect([kstatusOf(ending), await argoHealthOf(script, ending)]).toEqual(['Terminating', 'Progressing']);
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

  it('make Flux judge VMs as kstatus does', async () => {
    const checks = (await objectsIn('flux/lcow.yaml')).flatMap(
      (object) => fluxChecks.parse(object).spec.healthCheckExprs,
    );
    expect(checks).toMatchObject([{ apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM' }]);
    const [terms] = checks;
    const judged = (object: Judged) =>
      (['inProgress', 'failed', 'current'] as const).find((term) => isTrue(terms?.[term] ?? 'false', object));
    const withCondition = (type: string, status = 'True', observedGeneration = 2): Judged => ({
      metadata: { generation: 2 },
      status: { observedGeneration, conditions: [{ type, status }] },
    });
    expect(judged({ metadata: { generation: 1 }, status: {} })).toBe('inProgress');
    expect(judged(withCondition('Ready', 'True', 1))).toBe('inProgress');
    expect(judged(withCondition('Stalled'))).toBe('failed');
    expect(judged(withCondition('Ready'))).toBe('current');
    expect(judged(withCondition('Ready', 'False'))).toBeUndefined();
  });
});
