// What users do with sets: they change templates and take changes back, scale, reserve ordinals, pause, delete and
// re-create sets with and without their VMs, and meddle with single VMs. Administrators drain hosts more often where
// there are sets. Each set and each host has a history of its own.
import { linuxUtilityVMSetSpec } from '../../crds/linux-utility-vm-set.ts';
import { pausedAnnotation, restartedAtAnnotation, setLabel } from '../../crds/names.ts';
import { template as templateSchema } from '../../crds/set/template.ts';
import { isObject } from '../../crds/structural.ts';
import { parseTemplate } from '../../sets/templates.ts';
import type { KindName } from './api-server/kinds.ts';
import { controllerOf } from './api-server/objects.ts';
import type { Chance } from './chance.ts';
import { templateOf } from './judges/revisions.ts';
import { type Profile, type Spans, timesOf } from './profile.ts';
import {
  isWrongTemplate,
  mendingSet,
  mostReplicas,
  placementOf,
  rolling,
  type SetManifestSpec,
  setNames,
  setSpecOf,
  spreadings,
  wrongSetSpecs,
} from './sets.ts';
import type { SimulatedSystem } from './system/system.ts';
import { annotate, drainTaint, namespace, note, type Step, setNode } from './workload.ts';
import type { World } from './world.ts';

const minute = 60_000;
/** Of Kubernetes: the garbage collector keeps what the object owns. */
const orphanFinalizer = 'orphan';

export function setHistoriesOf(world: World, { sets, spans }: Profile, hosts: readonly string[]): readonly Step[] {
  if (sets === 0) return [];
  return [
    ...setNames
      .slice(0, sets)
      .flatMap((name) => [
        ...historyOf(
          world.chance(`history of ${name}`),
          name,
          spans,
          placementOf(world.chance(`placement of ${name}`)),
        ),
        ...spreadingsOf(world.chance(`spreading of ${name}`), name, spans),
      ]),
    ...hosts.flatMap((host) => drainsOf(world.chance(`drains of ${host}`), host, spans)),
  ];
}

interface Subject {
  readonly name: string;
  /** The manifest, as it is in Git. */
  readonly spec: SetManifestSpec;
  readonly at: number;
  /** Some time after `at`. */
  readonly later: number;
  readonly number: number;
}

type Happening = readonly [at: number, kind: string, run: Step['run']];
type Happen = (subject: Subject) => readonly Happening[];

const live: Happen = ({ at, name, number }) => {
  const change =
    number % 2 === 0 ? { processor: { limit: 1_000 * (1 + (number % 90)) } } : { memory: memoryOf(number) };
  return [[at, 'set: live change', (system) => patchTemplate(system, name, change)]];
};
const restarting: Happen = ({ at, name, number }) => [
  [at, 'set: change', (system) => patchTemplate(system, name, { processor: { count: 1 + (number % 4) } })],
];
const undo: Happen = ({ at, name, spec: { template } }) => [
  [at, 'set: undo', (system) => patchSet(system, name, { template: firstOf(template) })],
];
const scale: Happen = ({ at, name, number }) => [
  [at, 'set: scale', (system) => patchSet(system, name, { replicas: 1 + (number % mostReplicas) })],
];
const breaking: Happen = ({ at, later, name, number }) => {
  const chosen = wrongSetSpecs[number % wrongSetSpecs.length];
  if (chosen === undefined) return [];
  return [
    [at, 'set: break', (system) => patchSet(system, name, chosen.wrong)],
    [later, 'set: mend', (system) => patchSet(system, name, chosen.mended)],
  ];
};
const recreations = ({ later, name, spec }: Subject): readonly Happening[] =>
  [later, later + minute].map((at) => [at, 'set: create', (system) => create(system, name, spec)]);

/** One of these happens to a set from time to time; those that stand here twice, twice as often. */
const happenings: readonly Happen[] = [
  live,
  live,
  restarting,
  restarting,
  restarting,
  ({ at, name, number }) => {
    const change = { processor: { count: 1 + (number % 3), limit: 1_000 * (1 + (number % 80)) } };
    return [[at, 'set: mixed change', (system) => patchTemplate(system, name, change)]];
  },
  undo,
  undo,
  scale,
  scale,
  breaking,
  breaking,
  ({ at, later, name }) => [
    [
      at,
      'set: select hosts',
      (system) => patchTemplate(system, name, { nodeSelector: { 'kubernetes.io/os': 'windows' } }),
    ],
    [later, 'set: any host', (system) => patchTemplate(system, name, { nodeSelector: null })],
  ],
  ({ at, name }) => {
    const metadata = { annotations: { [restartedAtAnnotation]: `time ${at}` } };
    return [[at, 'set: restart', (system) => patchSet(system, name, { template: { metadata } })]];
  },
  ({ at, later, name, number }) => [
    [at, 'set: reserve', (system) => patchSet(system, name, { ordinals: { reserved: [number % 5] } })],
    [later, 'set: free', (system) => patchSet(system, name, { ordinals: { reserved: null } })],
  ],
  ({ at, later, name }) => [
    [at, 'set: halt', (system) => patchTemplate(system, name, { runStrategy: 'Halted' })],
    [later, 'set: run', (system) => patchTemplate(system, name, { runStrategy: 'Always' })],
  ],
  ({ at, later, name }) => [
    [at, 'set: pause', (system) => patchSet(system, name, { update: { paused: true } })],
    [later, 'set: resume', (system) => patchSet(system, name, { update: { paused: null } })],
  ],
  ({ at, name, number }) => {
    const partition = [0, 1, 2, '50%'][number % 4];
    return [[at, 'set: partition', (system) => patchSet(system, name, { update: { partition } })]];
  },
  ({ at, name, number }) => {
    const maxUnavailable = [1, 2, '50%'][number % 3];
    return [[at, 'set: budget', (system) => patchSet(system, name, { maxUnavailable })]];
  },
  ({ at, name, number }) => {
    const method = ['LiveOrRestart', 'LiveOrRecreate', 'LiveOnly'][number % 3];
    return [[at, 'set: method', (system) => patchSet(system, name, { update: { method } })]];
  },
  (subject) => [
    [
      subject.at,
      'set: delete',
      ({ api }) => void api.users.delete('LinuxUtilityVMSet', { namespace, name: subject.name }),
    ],
    ...recreations(subject),
  ],
  (subject) => [
    [subject.at, 'set: orphan', (system) => orphan(system, subject.name)],
    [subject.at + 500, 'set: orphaned', (system) => completeOrphaning(system, subject.name)],
    ...recreations(subject),
  ],
  ({ at, name, spec, number }) => [
    [at, 'set: delete a VM', ({ api }) => void api.users.delete('LinuxUtilityVM', nameOf(name, spec, number))],
  ],
  ({ at, name, spec, number }) => {
    const machine = nameOf(name, spec, number).name;
    return [[at, 'set: restart a VM', (system) => annotate(system, machine, restartedAtAnnotation, `time ${at}`)]];
  },
  ({ at, later, name, spec, number }) => {
    const machine = nameOf(name, spec, number).name;
    return [
      [at, 'set: hold a VM', (system) => annotate(system, machine, pausedAnnotation, 'true')],
      [later, 'set: hold no VM', (system) => annotate(system, machine, pausedAnnotation, null)],
    ];
  },
  // The set has to let the VM go, and makes another one once the name is free.
  ({ at, later, name, spec, number }) => {
    const machine = nameOf(name, spec, number);
    return [
      [at, 'set: release a VM', (system) => release(system, machine)],
      [later, 'set: delete a stranger', (system) => removeStranger(system, machine)],
    ];
  },
  ({ at, later, name, spec, number }) => {
    const machine = nameOf(name, spec, number);
    return [
      [
        at,
        'set: make a stranger',
        ({ api }) => void api.users.create('LinuxUtilityVM', { metadata: machine, spec: {} }),
      ],
      [later, 'set: delete a stranger', (system) => removeStranger(system, machine)],
    ];
  },
];

/** A patch that makes a template what it was first. */
function firstOf({ spec }: SetManifestSpec['template']): object {
  const changed = { nodeSelector: null, runStrategy: null, boot: null, console: null };
  const processor = { limit: null, cpuGroupID: null, ...spec.processor };
  return { metadata: { annotations: null }, spec: { ...changed, ...spec, processor } };
}

function memoryOf(number: number) {
  return { sizeInMB: 256 + 2 * number };
}

function nameOf(set: string, { ordinals }: SetManifestSpec, number: number) {
  return { namespace, name: `${set}-${(ordinals?.start ?? 0) + (number % mostReplicas)}` };
}

function historyOf(chance: Chance, name: string, spans: Spans, placement: Partial<SetManifestSpec>): readonly Step[] {
  const created = chance.integer(spans.creation);
  const spec = { ...setSpecOf(chance), ...placement };
  const isOld = chance.happens(0.5);
  const old: Happening = [created, 'set: old revision', (system) => addOldRevision(system, name, spec)];
  const make: Happening = [created + 1_000, 'set: create', (system) => create(system, name, spec)];
  const rest = timesOf(chance, { from: created, until: spans.safety, mean: 0.5 * minute }).flatMap((at) => {
    const happen = chance.pick(happenings);
    const [later, number] = [at + chance.integer(1.5 * minute), chance.integer(1_000)];
    return happen({ name, spec, at, later, number });
  });
  return [...(isOld ? [old] : []), make, ...rest].map(([at, kind, run]) => ({
    at,
    kind,
    text: `${kind} (${name})`,
    run,
  }));
}

/** Users spread the VMs in another way. That counts for VMs that are placed later. */
function spreadingsOf(chance: Chance, name: string, { safety, undisturbed }: Spans): readonly Step[] {
  return timesOf(chance, { from: undisturbed, until: safety, mean: 6 * minute }).map((at) => {
    const topologySpreadConstraints = chance.pick(spreadings);
    return {
      at,
      kind: 'set: spread',
      text: `set: spread (${name})`,
      run: (system) => patchSet(system, name, { topologySpreadConstraints }),
    };
  });
}

/** Every fifth drain asks no budget. */
function drainsOf(chance: Chance, host: string, { safety, undisturbed }: Spans): readonly Step[] {
  return timesOf(chance, { from: undisturbed, until: safety, mean: 4 * minute }).flatMap((at) => {
    const taint = chance.happens(0.2) ? { ...drainTaint, value: 'now' } : drainTaint;
    const later = at + 20_000 + chance.integer(minute);
    return [
      { at, kind: 'set: drain', text: `drain ${host}`, run: (system) => setNode(system, host, { taints: [taint] }) },
      {
        at: later,
        kind: 'set: end of drain',
        text: `end of drain ${host}`,
        run: (system) => setNode(system, host, { taints: null }),
      },
    ];
  });
}

function create(system: SimulatedSystem, name: string, spec: SetManifestSpec): void {
  const { users } = system.api;
  if (users.get('LinuxUtilityVMSet', { namespace, name }) !== undefined) return;
  note(system, users.create('LinuxUtilityVMSet', { metadata: { name, namespace }, spec }));
}

function patchSet(system: SimulatedSystem, name: string, spec: object): void {
  const { users } = system.api;
  if (users.get('LinuxUtilityVMSet', { namespace, name }) === undefined) return;
  note(system, users.patch('LinuxUtilityVMSet', { namespace, name }, { spec }));
}

function patchTemplate(system: SimulatedSystem, name: string, spec: object): void {
  patchSet(system, name, { template: { spec } });
}

/**
 * Left by a set that an operator of an earlier version had: it gave its revisions other names, and did not store what has
 * a default since.
 */
function addOldRevision({ api: { users } }: SimulatedSystem, name: string, { template }: SetManifestSpec): void {
  const stored = templateSchema.parse(template);
  const { runStrategy: _, ...spec } = stored.spec;
  users.create('ControllerRevision', {
    metadata: { name: `${name}-old`, namespace, labels: { [setLabel]: name } },
    data: { template: { ...stored, spec } },
    revision: 1,
  });
}

/** `kubectl delete --cascade=orphan`. */
function orphan({ api: { users } }: SimulatedSystem, name: string): void {
  const set = users.get('LinuxUtilityVMSet', { namespace, name });
  if (set === undefined || set.metadata.deletionTimestamp !== undefined) return;
  users.patch('LinuxUtilityVMSet', { namespace, name }, { metadata: { finalizers: [orphanFinalizer] } });
  users.delete('LinuxUtilityVMSet', { namespace, name });
}

/** What the garbage collector does then. */
function completeOrphaning({ api: { users } }: SimulatedSystem, name: string): void {
  const set = users.get('LinuxUtilityVMSet', { namespace, name });
  if (set === undefined || !set.metadata.finalizers?.includes(orphanFinalizer)) return;
  const kinds: readonly KindName[] = ['LinuxUtilityVM', 'ControllerRevision'];
  for (const kind of kinds) {
    for (const { metadata } of users.list(kind)) {
      const owners = metadata.ownerReferences ?? [];
      const ownerReferences = owners.filter(({ uid }) => uid !== set.metadata.uid);
      if (ownerReferences.length < owners.length) users.patch(kind, metadata, { metadata: { ownerReferences } });
    }
  }
  users.finalize('LinuxUtilityVMSet', { namespace, name }, orphanFinalizer);
}

type Named = ReturnType<typeof nameOf>;

function release(system: SimulatedSystem, machine: Named): void {
  const { users } = system.api;
  if (users.get('LinuxUtilityVM', machine) === undefined) return;
  note(system, users.patch('LinuxUtilityVM', machine, { metadata: { labels: { [setLabel]: null } } }));
}

/** Deletes the VM if no set controls it. */
function removeStranger({ api: { users } }: SimulatedSystem, machine: Named): void {
  const found = users.get('LinuxUtilityVM', machine);
  if (found !== undefined && controllerOf(found) === undefined) users.delete('LinuxUtilityVM', machine);
}

/** Takes back what is wrong with the sets, and whatever stands in their way. */
export function completeSets(system: SimulatedSystem): void {
  const { users } = system.api;
  for (const name of setNames) completeOrphaning(system, name);
  for (const { metadata, spec } of users.list('LinuxUtilityVMSet')) {
    if (isObject(spec)) patchSet(system, metadata.name, mendingSet(linuxUtilityVMSetSpec.parse(spec)));
    const revisions = users
      .list('ControllerRevision')
      .filter((each) => each.metadata.labels?.[setLabel] === metadata.name);
    const templates = revisions.flatMap((each) => parseTemplate(templateOf(each)) ?? []);
    if (templates.some(isWrongTemplate)) patchSet(system, metadata.name, { update: rolling });
    for (const machine of users.list('LinuxUtilityVM')) {
      const isNamedAlike = machine.metadata.name.startsWith(`${metadata.name}-`);
      const isFree = machine.metadata.labels?.[setLabel] === undefined;
      // The set may not have let it go yet.
      if (isNamedAlike && isFree) users.delete('LinuxUtilityVM', machine.metadata);
    }
  }
}
