// What the users and administrators of a cluster do, as steps with times that one seed decides. Each VM and each host
// has a history of its own, so that leaving out a step moves no other.
import type { LinuxUtilityVMManifestSpec } from '../../crds/linux-utility-vm.ts';
import { pausedAnnotation, restartedAtAnnotation } from '../../crds/names.ts';
import type { Outcome } from '../../operator/kubernetes/api-error.ts';
import type { Chance } from './chance.ts';
import { confidentialOf } from './policies.ts';
import { processOf } from './processes.ts';
import { type Profile, type Spans, timesOf } from './profile.ts';
import { diskOf } from './system/host-names.ts';
import type { SimulatedSystem } from './system/system.ts';
import type { World } from './world.ts';
import { wrongSpecs } from './wrong-specs.ts';

export interface Step {
  /** Milliseconds since the beginning. */
  readonly at: number;
  /** For the count of what happened. */
  readonly kind: string;
  readonly text: string;
  readonly run: (system: SimulatedSystem) => void;
}

export const namespace = 'default';
export const foreignFinalizer = 'example.com/keep';
export const drainTaint = { key: 'lcow.dev/drain', effect: 'NoExecute' } as const;
const minute = 60_000;

export function workloadOf(world: World, profile: Profile, hosts: readonly string[]): readonly Step[] {
  const { machines, spans } = profile;
  const ofMachines = Array.from({ length: machines }, (_, index) =>
    historyOf(world, `vm-${index + 1}`, hosts, profile),
  );
  const ofHosts = hosts.map((host) => administrationOf(world.chance(`administrator of ${host}`), host, spans));
  return [...ofMachines, ...ofHosts].flat();
}

interface Subject {
  readonly name: string;
  /** The manifest, as it is in Git. */
  readonly spec: LinuxUtilityVMManifestSpec;
  readonly at: number;
  /** Some time after `at`. */
  readonly later: number;
  readonly number: number;
}

type Run = Step['run'];
/** What happens when, and what it is called. */
type Happening = readonly [at: number, kind: string, run: Run];

/** One of these happens to a VM from time to time; those that stand here twice, twice as often. */
const happenings: readonly ((subject: Subject) => readonly Happening[])[] = [
  liveChange,
  liveChange,
  ({ at, name, number }) => [
    [at, 'change', (system) => patchSpec(system, name, { memory: { sizeInMB: 256 + 2 * number } })],
  ],
  ({ at, name }) => [[at, 'halt', (system) => patchSpec(system, name, { runStrategy: 'Halted' })]],
  run,
  run,
  restart,
  restart,
  // The name is free once the old VM is gone: GitOps tries until then.
  ({ at, later, name, spec }) => [
    [at, 'delete', ({ api }) => void api.users.delete('LinuxUtilityVM', { namespace, name })],
    ...[later, later + minute, later + 5 * minute].map(
      (time): Happening => [time, 'reapply', (system) => apply(system, name, spec)],
    ),
  ],
  // As `kubectl replace --force`: the new VM comes as soon as the name is free.
  ({ at, name, spec }) => [
    [
      at,
      'replace',
      (system) => {
        system.whenFree(name, () => apply(system, name, spec));
        system.api.users.delete('LinuxUtilityVM', { namespace, name });
      },
    ],
  ],
  ({ at, later, name }) => [
    [at, 'pause', (system) => annotate(system, name, pausedAnnotation, 'true')],
    [later, 'resume', (system) => annotate(system, name, pausedAnnotation, null)],
  ],
  // Not what pauses a VM: the status warns of it.
  ({ at, later, name }) => [
    [at, 'pause wrongly', (system) => annotate(system, name, pausedAnnotation, 'yes')],
    [later, 'take back', (system) => annotate(system, name, pausedAnnotation, null)],
  ],
  ({ at, name, spec }) => [[at, 'reapply', (system) => apply(system, name, spec)]],
  ({ at, later, name }) => [
    [at, 'keep', (system) => addFinalizer(system, name)],
    [later, 'let go', (system) => removeFinalizer(system, name)],
  ],
  breaking,
  breaking,
];

function breaking({ at, later, name, number, spec }: Subject): readonly Happening[] {
  const specs = wrongSpecs(spec, number);
  const chosen = specs[number % specs.length];
  if (chosen === undefined) return [];
  return [
    [at, 'break', (system) => patchSpec(system, name, chosen.wrong)],
    [later, 'mend', (system) => patchSpec(system, name, chosen.mended)],
  ];
}

function liveChange({ at, name, number }: Subject): readonly Happening[] {
  const limit = 1_000 * (1 + (number % 90));
  return [[at, 'live change', (system) => patchSpec(system, name, { processor: { limit } })]];
}

function run({ at, name, spec: { runStrategy } }: Subject): readonly Happening[] {
  return [[at, 'run', (system) => patchSpec(system, name, { runStrategy })]];
}

function restart({ at, name }: Subject): readonly Happening[] {
  return [[at, 'restart', (system) => annotate(system, name, restartedAtAnnotation, `time ${at}`)]];
}

function historyOf(
  world: World,
  name: string,
  hosts: readonly string[],
  { hasProcesses, isolatingHosts, spans }: Profile,
): readonly Step[] {
  const chance = world.chance(`history of ${name}`);
  const created = chance.integer(spans.creation);
  const confidential = confidentialOf(world.chance(`policy of ${name}`));
  const possible = confidential?.isolation === 'SNP' ? hosts.slice(0, isolatingHosts) : hosts;
  const ordinary = specOf(chance, name, possible);
  const process = hasProcesses ? processOf(world.chance(`process of ${name}`), ordinary.runStrategy) : undefined;
  const spec = {
    ...ordinary,
    ...(process && { process }),
    ...(confidential && { confidential, terminateOnAgentExit: true }),
  };
  const create: Happening = [created, 'create', (system) => apply(system, name, spec)];
  const rest = timesOf(chance, { from: created, until: spans.safety, mean: 6 * minute }).flatMap((at) => {
    const happening = chance.pick(happenings);
    const [later, number] = [at + chance.integer(3 * minute), 1 + chance.integer(1_000)];
    return happening({ name, spec, at, later, number });
  });
  return [create, ...rest].map(([at, kind, run]) => ({ at, kind, text: `${kind} ${name}`, run }));
}

function administrationOf(chance: Chance, host: string, { safety, undisturbed }: Spans): readonly Step[] {
  const step = (at: number, kind: string, run: Step['run']): Step => ({ at, kind, text: `${kind} ${host}`, run });
  return timesOf(chance, { from: undisturbed, until: safety, mean: 10 * minute }).flatMap((at) => {
    const later = at + minute + chance.integer(4 * minute);
    if (chance.happens(0.5)) {
      return [
        step(at, 'cordon', (system) => setNode(system, host, { unschedulable: true })),
        step(later, 'uncordon', (system) => setNode(system, host, { unschedulable: null })),
      ];
    }
    return [
      step(at, 'drain', (system) => setNode(system, host, { taints: [drainTaint] })),
      step(later, 'end of drain', (system) => setNode(system, host, { taints: null })),
    ];
  });
}

function specOf(chance: Chance, name: string, hosts: readonly string[]): LinuxUtilityVMManifestSpec {
  const runStrategy = chance.pick(['Always', 'Always', 'Always', 'RerunOnFailure', 'Once', 'Halted'] as const);
  const isPinned = chance.happens(0.2);
  const host = chance.pick(hosts);
  const hasDisk = chance.happens(0.3);
  const readOnly = chance.happens(0.5);
  return {
    runStrategy,
    updateStrategy: chance.happens(0.3) ? 'Recreate' : 'OnRestart',
    terminateOnAgentExit: chance.happens(0.6),
    memory: { sizeInMB: 256 * (1 + chance.integer(4)) },
    processor: { count: 1 + chance.integer(2) },
    ...(isPinned && { nodeName: host }),
    ...(hasDisk && { storage: { disks: [{ name: 'data', path: diskOf(name), readOnly, mountPath: '/mnt/data' }] } }),
  };
}

/** As GitOps does: creates the object, or makes its spec as the manifest says. */
export function apply(system: SimulatedSystem, name: string, spec: LinuxUtilityVMManifestSpec): void {
  const { users } = system.api;
  const found = users.get('LinuxUtilityVM', { namespace, name });
  if (found === undefined) {
    note(system, users.create('LinuxUtilityVM', { metadata: { name, namespace }, spec }));
    return;
  }
  if (found.metadata.deletionTimestamp !== undefined) return;
  patchSpec(system, name, { memory: null, processor: null, boot: null, ...spec });
}

function patchSpec(system: SimulatedSystem, name: string, spec: object): void {
  patch(system, name, { spec });
}

export function annotate(system: SimulatedSystem, name: string, annotation: string, value: string | null): void {
  patch(system, name, { metadata: { annotations: { [annotation]: value } } });
}

function patch(system: SimulatedSystem, name: string, change: object): void {
  const { users } = system.api;
  if (users.get('LinuxUtilityVM', { namespace, name }) === undefined) return;
  note(system, users.patch('LinuxUtilityVM', { namespace, name }, change));
}

/** What users ask for may be refused, as for `kubectl`. */
export function note({ world }: SimulatedSystem, outcome: Outcome<unknown>): void {
  if (!outcome.ok) world.note(`refused: ${outcome.error.message}`);
}

function addFinalizer(system: SimulatedSystem, name: string): void {
  const found = system.api.users.get('LinuxUtilityVM', { namespace, name });
  if (found === undefined || found.metadata.deletionTimestamp !== undefined) return;
  const finalizers = [
    ...(found.metadata.finalizers ?? []).filter((each) => each !== foreignFinalizer),
    foreignFinalizer,
  ];
  patch(system, name, { metadata: { finalizers } });
}

export function removeFinalizer(system: SimulatedSystem, name: string): void {
  const object = { namespace, name };
  const { users } = system.api;
  if (users.get('LinuxUtilityVM', object) !== undefined) users.finalize('LinuxUtilityVM', object, foreignFinalizer);
}

export function setNode(system: SimulatedSystem, host: string, spec: object): void {
  const { users } = system.api;
  if (users.get('Node', { name: host }) !== undefined) users.patch('Node', { name: host }, { spec });
}
