// LinuxUtilityVMSet: keeps a number of LinuxUtilityVMs that are made from one template.
import { z } from 'zod';
import { amount, count, flag, listAtomic, rules, text, timestamp } from './fields.ts';
import type { Kind } from './kind.ts';
import { apiVersion, setPlural } from './names.ts';
import { conditions, objectMeta, observedGeneration, unseen } from './object.ts';
import { labelKey } from './placement.ts';
import { template } from './set/template.ts';

export const maxReplicas = 5_000;
export const maxOrdinal = 99_999;
/** `<name>-<ordinal>` and `<name>-<hash>` are labels, which have at most 63 characters. */
export const setNameChars = 57;

const ordinals = z
  .object({
    start: count('The first ordinal.', 0, 50_000).default(0),
    reserved: z
      .array(
        amount('An ordinal, such as 2, or a range, such as "7-9".', {
          maximum: maxOrdinal,
          pattern: /^[0-9]{1,5}(-[0-9]{1,5})?$/,
          maxLength: 11,
        }),
      )
      .max(256)
      .meta({
        description:
          'Ordinals that no VM has. The VM of an ordinal that is added here is deleted, and the next one comes.',
        ...listAtomic,
      })
      .optional(),
  })
  .meta({ description: 'The ordinals in the names of the VMs.' })
  .prefault({});

const percentage = { pattern: /^(100|[1-9]?[0-9])%$/, maxLength: 4 } as const;

const update = z
  .object({
    type: z
      .enum(['RollingUpdate', 'OnDelete'])
      .meta({
        description:
          'RollingUpdate: the VMs get a changed template one after another. OnDelete: a VM gets it when it is deleted and made again.',
      })
      .default('RollingUpdate'),
    method: z
      .enum(['LiveOrRestart', 'LiveOnly', 'LiveOrRecreate'])
      .meta({
        description:
          'How a VM gets a changed template. What a running VM can take is applied while it runs. For the rest, LiveOrRestart restarts the VM on its host, LiveOrRecreate replaces it by a new VM, which may get another host, and LiveOnly changes nothing.',
      })
      .default('LiveOrRestart'),
    partition: amount(
      'How many VMs, those with the lowest ordinals, keep their revision: a number, or a percentage of replicas, rounded up.',
      { ...percentage, maximum: maxReplicas },
    ).default(0),
    maxParallelLive: amount(
      'How many VMs are changed at once while they run: a number, or a percentage of replicas, rounded up, at least 1.',
      { ...percentage, minimum: 1, maximum: maxReplicas },
    ).default('10%'),
    progressDeadlineSeconds: count(
      'A rollout without progress for this long is shown as Stalled. It is continued all the same.',
      1,
      2 ** 31 - 1,
    ).default(600),
    paused: flag('True: VMs do not get a changed template. VMs that are made again get the previous one.'),
  })
  .meta({ description: 'How the VMs get a changed template.' })
  .prefault({});

const topologySpreadConstraint = z.object({
  topologyKey: z
    .string()
    .min(1)
    .max(317)
    .meta({
      description: 'A label of Nodes. Hosts with the same value are one domain.',
      ...rules({
        rule: `self.matches('${labelKey}')`,
        message: 'must be a label key such as kubernetes.io/hostname or topology.kubernetes.io/zone',
      }),
    }),
  maxSkew: count('How many VMs more than the domain with the fewest a domain may have.', 1, maxReplicas).default(1),
  whenUnsatisfiable: z
    .enum(['ScheduleAnyway', 'DoNotSchedule'])
    .meta({
      description: 'ScheduleAnyway: domains with fewer VMs are preferred. DoNotSchedule: a VM waits instead.',
    })
    .default('ScheduleAnyway'),
});

export type TopologySpreadConstraint = z.infer<typeof topologySpreadConstraint>;

export const usualSpread: readonly TopologySpreadConstraint[] = [
  { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
];

const replacement = z
  .object({
    afterStartFailures: count('So many starts must have failed in a row.', 1, 1_000).default(3),
    afterSeconds: count(
      'For so long the VM must not have been ready. The time doubles with each replacement of the same ordinal, until its VM is available.',
      1,
      86_400,
    ).default(300),
  })
  .meta({
    description:
      'Replaces a VM whose start fails again and again by a new one, which may get another host. Absent: VMs are not replaced. At most maxUnavailable VMs are replaced at once. A VM with a writable disk is not replaced, and neither is one whose host is not connected.',
  })
  .optional();

export const linuxUtilityVMSetSpec = z
  .object({
    replicas: count('The number of VMs.', 0, maxReplicas).default(1),
    ordinals,
    template,
    minReadySeconds: count('How long a VM must have been ready to count as available.', 0, 2 ** 31 - 1).default(0),
    update,
    maxUnavailable: amount(
      'How many VMs may be unavailable because of rolling updates and drains together: a number, or a percentage of replicas, rounded down, at least 1.',
      { ...percentage, minimum: 1, maximum: maxReplicas },
    ).default(1),
    topologySpreadConstraints: z
      .array(topologySpreadConstraint)
      .max(8)
      .meta({
        description:
          'How the VMs are spread over the hosts when they are placed, as for Pods. The first one counts most. An empty list spreads nothing. VMs that are placed already are not moved.',
        ...listAtomic,
      })
      .default([...usualSpread]),
    replacement,
    revisionHistoryLimit: count('How many former revisions of the template are kept.', 0, 1_000).default(10),
  })
  .meta({ description: 'The desired VMs.' });

export type LinuxUtilityVMSetSpec = z.infer<typeof linuxUtilityVMSetSpec>;

const replicaCount = (description: string) => count(description, 0, 100_000).optional();

const rollout = z
  .object({
    method: z
      .enum(['Live', 'Restart', 'Recreate'])
      .meta({ description: 'What the VMs that lack the update revision need most.' })
      .optional(),
    changed: z
      .array(z.string().max(256))
      .max(32)
      .meta({ description: 'The changed fields of the template’s spec, at most 32 of them.', ...listAtomic })
      .optional(),
    target: replicaCount('VMs that are to get the update revision.'),
    done: replicaCount('VMs that have it and are available.'),
    waitingFor: text('What the next step waits for.').optional(),
    progressedAt: timestamp('When a VM was last made, changed, deleted or became available.').optional(),
  })
  .meta({ description: 'The rollout of the update revision.' })
  .optional();

export const linuxUtilityVMSetStatus = z
  .object({
    observedGeneration,
    selector: text('Selects the VMs, for the scale subresource.').optional(),
    replicas: replicaCount('VMs that belong to the set.'),
    readyReplicas: replicaCount('VMs that are ready.'),
    availableReplicas: replicaCount('VMs that have been ready for minReadySeconds.'),
    updatedReplicas: replicaCount('VMs that have the update revision in all parts.'),
    updatedAvailableReplicas: replicaCount('VMs that have the update revision and are available.'),
    restartRequiredReplicas: replicaCount('VMs that need a restart to become as the template asks.'),
    currentRevision: text('The ControllerRevision that all VMs had last.', 63).optional(),
    updateRevision: text('The ControllerRevision of the present template.', 63).optional(),
    collisionCount: count('How often the name of a new ControllerRevision was taken.').optional(),
    disruptionsAllowed: replicaCount('How many VMs could be made unavailable now.'),
    rollout,
    conditions,
  })
  .meta({ description: 'The observed state of the set. Written by the operator.', ...unseen });

export type LinuxUtilityVMSetStatus = z.infer<typeof linuxUtilityVMSetStatus>;

const linuxUtilityVMSet = z
  .object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('LinuxUtilityVMSet'),
    metadata: objectMeta,
    spec: linuxUtilityVMSetSpec,
    status: linuxUtilityVMSetStatus.optional(),
  })
  .meta({
    description: 'Keeps a number of LinuxUtilityVMs that are made from one template.',
    ...rules({
      rule: `oldSelf.hasValue() || size(self.metadata.name) <= ${setNameChars}`,
      optionalOldSelf: true,
      message: `metadata.name must have at most ${setNameChars} characters: the VMs are named after the set, with an ordinal`,
    }),
  });

export const linuxUtilityVMSetKind: Kind = {
  kind: 'LinuxUtilityVMSet',
  plural: setPlural,
  singular: 'linuxutilityvmset',
  shortNames: ['luvmset', 'luvmsets'],
  categories: ['lcow'],
  scope: 'Namespaced',
  schema: linuxUtilityVMSet,
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.status.selector',
  },
  columns: [
    { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas', description: 'VMs that are asked for.' },
    { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas', description: 'VMs that are ready.' },
    {
      name: 'Updated',
      type: 'integer',
      jsonPath: '.status.updatedReplicas',
      description: 'VMs that have the present template.',
    },
    {
      name: 'Available',
      type: 'integer',
      jsonPath: '.status.availableReplicas',
      description: 'VMs that have been ready for long enough.',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'When the set was created.' },
    {
      name: 'Method',
      type: 'string',
      jsonPath: '.spec.update.method',
      description: 'How VMs get a changed template.',
      wide: true,
    },
    {
      name: 'Revision',
      type: 'string',
      jsonPath: '.status.updateRevision',
      description: 'The revision of the present template.',
      wide: true,
    },
    {
      name: 'Status',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
      description: 'Why the set is ready or not.',
      wide: true,
    },
  ],
  selectableFields: [],
};
