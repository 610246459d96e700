// Manifests of sets, and changes of them after which the set cannot go on. Their VMs are small, and few enough for every
// system.
import type { z } from 'zod';
import type { LinuxUtilityVMSetSpec, linuxUtilityVMSetSpec } from '../../crds/linux-utility-vm-set.ts';
import type { SetTemplate } from '../../crds/set/template.ts';
import type { Chance } from './chance.ts';
import { diskOf, sharedPipe } from './system/host-names.ts';

export type SetManifestSpec = z.input<typeof linuxUtilityVMSetSpec>;

/** Merge patches of a set's spec. */
export interface WrongSetSpec {
  readonly wrong: object;
  readonly mended: object;
}

export const setNames = ['set-1', 'set-2'] as const;
/** Beyond the highest ordinal that a set comes to. */
const ordinals = 20;
export const mostReplicas = 5;

/** The disks of all VMs that sets can have. */
export const disksOfSets: readonly string[] = setNames.flatMap((name) =>
  Array.from({ length: ordinals }, (_, ordinal) => diskOf(`${name}-${ordinal}`)),
);

const zone = 'topology.kubernetes.io/zone';
const hostname = 'kubernetes.io/hostname';
const strict = { whenUnsatisfiable: 'DoNotSchedule' } as const;

const usual: NonNullable<SetManifestSpec['topologySpreadConstraints']> = [{ topologyKey: hostname }];

/** Half of the sets are spread as by default. */
export const spreadings: readonly NonNullable<SetManifestSpec['topologySpreadConstraints']>[] = [
  ...[usual, usual, usual, usual, usual],
  [],
  [{ topologyKey: hostname, ...strict }],
  [{ topologyKey: zone, ...strict }, { topologyKey: hostname }],
  [{ topologyKey: zone }, { topologyKey: hostname, maxSkew: 2, ...strict }],
  [{ topologyKey: zone, maxSkew: 2, ...strict }],
];

/** What a set says of the hosts of its VMs, and of VMs that do not start. */
export function placementOf(chance: Chance): Partial<SetManifestSpec> {
  const topologySpreadConstraints = chance.pick(spreadings);
  const replacement = {
    afterStartFailures: chance.pick([1, 2, 3] as const),
    afterSeconds: chance.pick([5, 20, 60] as const),
  };
  const isReplaced = chance.happens(0.5);
  return { topologySpreadConstraints, ...(isReplaced && { replacement }) };
}

export function setSpecOf(chance: Chance): SetManifestSpec {
  const update = {
    type: chance.pick(['RollingUpdate', 'RollingUpdate', 'RollingUpdate', 'RollingUpdate', 'OnDelete'] as const),
    method: chance.pick(['LiveOrRestart', 'LiveOrRestart', 'LiveOrRecreate', 'LiveOnly'] as const),
    partition: chance.pick([0, 0, 0, 1, '50%'] as const),
    maxParallelLive: chance.pick(['10%', 1, '100%'] as const),
    progressDeadlineSeconds: chance.pick([30, 600] as const),
  };
  const hasDisk = chance.happens(0.3);
  const readOnly = chance.happens(0.5);
  return {
    replicas: 2 + chance.integer(mostReplicas - 1),
    ordinals: { start: chance.pick([0, 0, 3] as const) },
    minReadySeconds: chance.pick([0, 0, 5] as const),
    maxUnavailable: chance.pick([1, 1, 1, 2, '50%'] as const),
    update,
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        terminateOnAgentExit: chance.happens(0.6),
        memory: { sizeInMB: 256 * (1 + chance.integer(2)) },
        processor: { count: 1 },
        ...(hasDisk && {
          storage: { disks: [{ name: 'data', path: diskOf('$(name)'), readOnly, mountPath: '/mnt/data' }] },
        }),
      },
    },
  };
}

const guid = '6d9fd4a4-5b1e-4bd0-8f1d-5d2f6f3c8a11';
const ofTemplate = (spec: object) => ({ template: { spec } });

const wrongTemplates: readonly WrongSetSpec[] = [
  // The VMs do not come up any more.
  { wrong: { boot: { filesPath: 'C:\\nowhere' } }, mended: { boot: null } },
  { wrong: { boot: { filesPath: 'C:\\nowhere' } }, mended: { boot: null } },
  { wrong: { memory: { sizeInMB: 1_048_576 } }, mended: { memory: { sizeInMB: 256 } } },
  // A host refuses it while the VM runs.
  { wrong: { processor: { cpuGroupID: guid } }, mended: { processor: { cpuGroupID: null } } },
  // Two VMs would share the pipe, and nobody knows the variable.
  { wrong: { console: { pipe: sharedPipe } }, mended: { console: null } },
  { wrong: { console: { pipe: '\\\\.\\pipe\\$(nobody)' } }, mended: { console: null } },
].map(({ mended, wrong }) => ({ wrong: ofTemplate(wrong), mended: ofTemplate(mended) }));

export const wrongSetSpecs: readonly WrongSetSpec[] = [
  ...wrongTemplates,
  { wrong: { ordinals: { reserved: ['9-7'] } }, mended: { ordinals: { reserved: null } } },
];

const usualMemory = 4_096;

/** Whether VMs that are made from the template cannot run. */
export function isWrongTemplate({ spec }: SetTemplate): boolean {
  const { boot, console: settings, memory, processor } = spec;
  const isUnusual = [boot, settings, processor?.cpuGroupID].some((each) => each !== undefined);
  return isUnusual || memory.sizeInMB > usualMemory;
}

/** Changes reach all VMs, so that they can be mended. */
export const rolling = { type: 'RollingUpdate', method: 'LiveOrRestart', partition: 0, paused: null } as const;

/** Takes back whatever is wrong with the spec of a set. */
export function mendingSet({ template }: LinuxUtilityVMSetSpec): object {
  const isTooLarge = template.spec.memory.sizeInMB > usualMemory;
  return {
    ordinals: { reserved: null },
    template: {
      spec: {
        ...{ boot: null, console: null, processor: { cpuGroupID: null } },
        ...(isTooLarge && { memory: { sizeInMB: 256 } }),
      },
    },
  };
}
