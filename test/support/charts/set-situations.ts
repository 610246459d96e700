// Situations of a LinuxUtilityVMSet. The operator's own code judges the VMs, plans and writes the statuses; each status
// follows from the one before it.

import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { type LinuxUtilityVMSetSpec, linuxUtilityVMSetSpec } from '../../../crds/linux-utility-vm-set.ts';
import { revisionLabel } from '../../../crds/names.ts';
import { template as templateSchema } from '../../../crds/set/template.ts';
import type { Revision } from '../../../operator/controller/sets/revisions.ts';
import { type SetView, setStatus } from '../../../operator/controller/sets/set-status.ts';
import { SetViews } from '../../../operator/controller/sets/set-view.ts';
import type { MachineSet, VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import type { ReasonCode } from '../../../protocol/reasons.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import { wantedOrdinals } from '../../../sets/ordinals.ts';
import { makeMachine, makeSet } from '../operator/objects.ts';
import { condition, ready } from '../operator/set-views.ts';
import type { KStatus } from './kstatus.ts';
import type { ArgoHealth, Situation } from './situations.ts';

const began = Date.parse('2026-01-01T12:00:00Z');
const minutes = (count: number) => began + count * 60_000;

/** The VMs of revision a run at first. b needs a restart, c as well, d a change while a VM runs. */
const specs = {
  a: {},
  b: { boot: { kernelOptions: 'quiet' } },
  c: { boot: { kernelOptions: 'debug' } },
  d: { memory: { sizeInMB: 2048 } },
} as const;
type RevisionName = keyof typeof specs;

function revision(name: RevisionName, number: number): Revision {
  const metadata = { name, namespace: 'default', uid: `uid-of-${name}`, resourceVersion: '1', generation: 0 };
  return { metadata, number, template: templateSchema.parse({ spec: specs[name] }) };
}
const revisions = {
  a: revision('a', 1),
  b: revision('b', 2),
  c: revision('c', 3),
  d: revision('d', 4),
};

type MachineState = Partial<Pick<VirtualMachine['metadata'], 'annotations' | 'deletionTimestamp' | 'generation'>> & {
  readonly revision: RevisionName;
  readonly status: LinuxUtilityVMStatus;
};

const up = (name: RevisionName): MachineState => ({
  revision: name,
  status: { observedGeneration: 1, readyRevision: name, conditions: [ready] },
});
/** It has got revision `name` in place of `before`, and is not ready. */
const down = (name: RevisionName, before: RevisionName | undefined = name): MachineState => ({
  revision: name,
  status: {
    observedGeneration: 1,
    ...(before !== undefined && { readyRevision: before }),
    conditions: [condition('Ready', 'False', 'BootTimeout', '2026-01-01T11:00:00Z')],
  },
});
const restarting = (name: RevisionName, before: RevisionName): MachineState => ({
  ...{ revision: name, generation: 2, annotations: { 'lcow.dev/restartedAt': '2026-01-01T12:00:00Z' } },
  status: up(before).status,
});
const changing = (name: RevisionName, before: RevisionName): MachineState => ({
  ...{ revision: name, generation: 2 },
  status: up(before).status,
});
const needingRestart = (name: RevisionName): MachineState => ({
  revision: name,
  status: {
    ...up('a').status,
    conditions: [ready, condition('RestartRequired', 'True', 'RestartRequired', '2026-01-01T12:00:00Z')],
  },
});
const ending = (name: RevisionName): MachineState => ({ ...up(name), deletionTimestamp: '2026-01-01T12:00:00Z' });
const away = (name: RevisionName): MachineState => ({
  revision: name,
  status: {
    ...up(name).status,
    conditions: [condition('Ready', 'Unknown', 'HostDisconnected', '2026-01-01T12:00:00Z')],
  },
});
const drained = (name: RevisionName): MachineState => ({
  revision: name,
  status: {
    ...up(name).status,
    conditions: [
      condition('Evicting', 'True', 'DrainAllowed', '2026-01-01T12:00:00Z'),
      condition('Ready', 'False', 'HostDrained', '2026-01-01T12:00:00Z'),
    ],
  },
});

interface Moment {
  /** Of the set, without its template. */
  readonly spec?: object;
  readonly template?: RevisionName;
  /** By ordinal; undefined where there is no VM. */
  readonly machines: readonly (MachineState | undefined)[];
  /** Ordinals whose name another object has. */
  readonly taken?: readonly number[];
  /** Ordinals that a drain asks for. */
  readonly leaving?: readonly number[];
  /** What the operator found to stand in the way; `isBlind`: so much that it did not look at the VMs. */
  readonly obstacle?: { readonly reason: ReasonCode; readonly isBlind?: boolean };
  readonly at?: number;
}

/** The set after the operator has seen each of the moments. */
function setAfter(...moments: readonly Moment[]): MachineSet {
  let set = makeSet('x', { spec: specOf(moments[0]) });
  for (const moment of moments) {
    const { template: name = 'a', obstacle, at = 0 } = moment;
    set = withSpec(set, specOf(moment));
    const verdict = obstacle && { reason: obstacle.reason, message: `the message of ${obstacle.reason}` };
    const view = obstacle?.isBlind === true ? undefined : viewIn(set, moment, name, minutes(at));
    set = { ...set, status: setStatus(set, view, verdict, minutes(at)) };
  }
  return set;
}

function specOf({ spec = { replicas: 3 }, template: name = 'a' }: Moment = { machines: [] }) {
  return linuxUtilityVMSetSpec.parse({ template: { spec: specs[name] }, ...spec });
}

function withSpec(set: MachineSet, value: LinuxUtilityVMSetSpec): MachineSet {
  if (set.spec.ok && sameJson(set.spec.value, value)) return set;
  return { ...newer(set), spec: { ok: true, value } };
}

function viewIn(set: MachineSet, moment: Moment, name: RevisionName, now: number): SetView {
  if (!set.spec.ok) throw new Error(set.spec.message);
  const spec = set.spec.value;
  const ordinals = wantedOrdinals(spec);
  if (!ordinals.ok) throw new Error(ordinals.message);
  const own = moment.machines.flatMap((state, ordinal) =>
    state === undefined ? [] : [{ object: machineOf(state, ordinal), ordinal }],
  );
  const leaving = new Set(moment.leaving?.map((ordinal) => `x-${ordinal}`));
  return new SetViews({
    ...{ set, spec, wanted: ordinals.ordinals, now },
    members: { own, toAdopt: [], toRelease: [], taken: new Set(moment.taken) },
    revisions: { update: revisions[name], all: Object.values(revisions), collisionCount: 0 },
    isDeleted: () => false,
    isToLeave: ({ metadata }) => leaving.has(metadata.name),
    replacementsOf: () => 0,
  }).view();
}

function machineOf({ revision: name, status, ...metadata }: MachineState, ordinal: number): VirtualMachine {
  return makeMachine({
    metadata: { name: `x-${ordinal}`, uid: `uid-${ordinal}`, labels: { [revisionLabel]: name }, ...metadata },
    status,
  });
}

const settled: Moment = { machines: [up('a'), up('a'), up('a')] };
const rolling = (moment: Partial<Moment>): Moment => ({
  template: 'b',
  machines: [up('a'), up('a'), up('a')],
  ...moment,
});
const stuck: Moment = rolling({ machines: [up('a'), up('a'), down('b', 'a')], at: 1 });
const updating = (update: object) => ({ spec: { replicas: 3, update } });

const table: readonly [string, readonly Moment[], KStatus, ArgoHealth][] = [
  ['was just made', [{ machines: [] }], 'InProgress', 'Progressing'],
  [
    'waits for its first VMs',
    [{ machines: [] }, { machines: [up('a'), down('a', undefined)] }],
    'InProgress',
    'Progressing',
  ],
  ['has all its VMs', [settled], 'Current', 'Healthy'],
  ['lost a VM', [settled, { machines: [up('a'), down('a'), up('a')] }], 'InProgress', 'Progressing'],
  [
    'misses a VM that was deleted by hand',
    [settled, { machines: [up('a'), undefined, up('a')] }],
    'InProgress',
    'Progressing',
  ],
  ['scales out', [settled, { spec: { replicas: 5 }, machines: settled.machines }], 'InProgress', 'Progressing'],
  [
    'scales in, and a VM has not ended',
    [settled, { spec: { replicas: 2 }, machines: [up('a'), up('a'), ending('a')] }],
    'InProgress',
    'Progressing',
  ],
  ['is scaled to 0', [settled, { spec: { replicas: 0 }, machines: [] }], 'Current', 'Healthy'],
  [
    'restarts a VM',
    [settled, rolling({ machines: [up('a'), up('a'), restarting('b', 'a')] })],
    'InProgress',
    'Progressing',
  ],
  [
    'changes its VMs while they run',
    [settled, rolling({ template: 'd', machines: [up('a'), up('a'), changing('d', 'a')] })],
    'InProgress',
    'Progressing',
  ],
  ['has rolled out', [settled, stuck, rolling({ machines: [up('b'), up('b'), up('b')] })], 'Current', 'Healthy'],
  ['has a canary that does not start', [settled, stuck, { ...stuck, at: 9 }], 'InProgress', 'Progressing'],
  ['made no progress for too long', [settled, stuck, { ...stuck, at: 20 }], 'Failed', 'Degraded'],
  [
    'is corrected after it made no progress',
    [settled, stuck, { ...stuck, at: 20 }, { ...stuck, template: 'c', at: 21 }],
    'InProgress',
    'Progressing',
  ],
  [
    'is paused amid a rollout, with all VMs available',
    [settled, rolling({ ...updating({ paused: true }), machines: [up('a'), up('a'), up('b')] })],
    'Current',
    'Suspended',
  ],
  [
    'is paused, and waits for a VM for long',
    [settled, { ...stuck, ...updating({ paused: true }) }, { ...stuck, ...updating({ paused: true }), at: 20 }],
    'InProgress',
    'Suspended',
  ],
  [
    'leaves the time of the update to the user',
    [settled, rolling(updating({ type: 'OnDelete' }))],
    'Current',
    'Healthy',
  ],
  [
    'has updated all VMs above its partition',
    [settled, rolling({ ...updating({ partition: 2 }), machines: [up('a'), up('a'), up('b')] })],
    'Current',
    'Healthy',
  ],
  [
    'has not updated all VMs above its partition',
    [settled, rolling({ ...updating({ partition: 1 }), machines: [up('a'), up('a'), up('b')] })],
    'InProgress',
    'Progressing',
  ],
  [
    'may not restart its VMs',
    [settled, rolling({ ...updating({ method: 'LiveOnly' }), obstacle: { reason: 'LiveChangeRefused' } })],
    'Failed',
    'Degraded',
  ],
  [
    'has VMs that need a restart, and may restart them',
    [settled, rolling({ template: 'd', machines: [up('d'), up('d'), needingRestart('d')] })],
    'InProgress',
    'Progressing',
  ],
  [
    'cannot make a VM, whose name another object has',
    [{ machines: [up('a'), undefined, up('a')], taken: [1], obstacle: { reason: 'NameConflict' } }],
    'Failed',
    'Degraded',
  ],
  [
    'has a template that the API server refuses',
    [settled, rolling({ obstacle: { reason: 'TemplateInvalid' } })],
    'Failed',
    'Degraded',
  ],
  [
    'has a template whose VMs would share a disk',
    [{ machines: [], obstacle: { reason: 'TemplateInvalid', isBlind: true } }],
    'Failed',
    'Degraded',
  ],
  [
    'has ordinals that run backwards',
    [
      settled,
      {
        spec: { replicas: 3, ordinals: { reserved: ['9-7'] } },
        ...{ machines: settled.machines, obstacle: { reason: 'OrdinalsInvalid', isBlind: true } },
      },
    ],
    'Failed',
    'Degraded',
  ],
  [
    'was stored before the schema was tightened',
    [{ machines: [], obstacle: { reason: 'InvalidSpec', isBlind: true } }],
    'Failed',
    'Degraded',
  ],
  [
    'may not make VMs, by a quota',
    [{ machines: [up('a')] }, { machines: [up('a')], obstacle: { reason: 'CreateRefused' }, at: 1 }],
    'InProgress',
    'Progressing',
  ],
  [
    'may not make VMs for too long',
    [{ machines: [up('a')] }, { machines: [up('a')], obstacle: { reason: 'CreateRefused' }, at: 20 }],
    'Failed',
    'Degraded',
  ],
  [
    'has a VM on a host that is away',
    [settled, { machines: [up('a'), away('a'), up('a')], at: 1 }],
    'InProgress',
    'Progressing',
  ],
  [
    'has a VM on a host that is away for long',
    [settled, { machines: [up('a'), away('a'), up('a')], at: 1 }, { machines: [up('a'), away('a'), up('a')], at: 20 }],
    'Failed',
    'Degraded',
  ],
  [
    'has a VM that leaves a drained host',
    [settled, { machines: [up('a'), up('a'), drained('a')], leaving: [2], at: 1 }],
    'InProgress',
    'Progressing',
  ],
];

const settledObject = setAfter(settled);

export const setSituations: readonly Situation[] = [
  {
    name: 'has not been seen by an operator',
    // As the API server returns it: the schema has this status as its default.
    object: { metadata: { name: 'x', generation: 1 }, status: { observedGeneration: 0 } },
    kstatus: 'InProgress',
    argo: 'Progressing',
  },
  ...table.map(([name, moments, kstatus, argo]) => ({ name, object: setAfter(...moments), kstatus, argo })),
  {
    name: 'has a newer manifest than the operator has seen',
    object: { ...settledObject, metadata: { ...settledObject.metadata, generation: 2 } },
    kstatus: 'InProgress',
    argo: 'Progressing',
  },
  {
    name: 'stalled, and has a newer manifest than the operator has seen',
    object: newer(setAfter(settled, stuck, { ...stuck, at: 20 })),
    kstatus: 'InProgress',
    argo: 'Progressing',
  },
  {
    name: 'is being deleted',
    object: { ...settledObject, metadata: { ...settledObject.metadata, deletionTimestamp: '2026-01-01T12:00:00Z' } },
    kstatus: 'Terminating',
    argo: 'Progressing',
  },
];

function newer(set: MachineSet): MachineSet {
  return { ...set, metadata: { ...set.metadata, generation: set.metadata.generation + 1 } };
}
