// What the dashboard shows of an object, as a short row. An object of a newer operator may lack anything, or have what
// cannot be read here: its row says so, and hides no other one.
import { z } from 'zod';
import { type Condition, conditions } from '../../crds/object.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { conditionOf, judge } from '../rollout/judgement.ts';
import { parseSet, type ShownSet } from '../rollout/objects.ts';

/** `Good`, on its way, at rest as asked for, wrong, or not known. */
export type Health = 'Good' | 'Moving' | 'Resting' | 'Wrong' | 'Unknown';

export interface MachineRow {
  readonly namespace: string;
  readonly name: string;
  readonly phase: string;
  readonly health: Health;
  readonly node: string | undefined;
  readonly restarts: number;
  readonly created: string | undefined;
  /** Why it is not running and ready; what the operator says of it otherwise. */
  readonly why: string;
}

const metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().default(''),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
});
const machine = z.looseObject({
  metadata,
  status: z
    .looseObject({
      phase: z.string().default('Pending'),
      nodeName: z.string().optional(),
      restarts: z.number().default(0),
      conditions: conditions.catch([]),
    })
    .prefault({}),
});

export function machineRow(object: unknown): MachineRow {
  const parsed = machine.safeParse(object);
  const none = { phase: '?', node: undefined, restarts: 0, created: undefined };
  return parsed.success ? machineRowOf(parsed.data) : { ...unreadable(object, parsed.error), ...none };
}

function machineRowOf({ metadata: about, status }: z.infer<typeof machine>): MachineRow {
  const { conditions: now = [], nodeName: node, phase, restarts } = status;
  const { creationTimestamp: created, deletionTimestamp: deleted, name, namespace } = about;
  const ready = conditionOf(now, 'Ready');
  const row = { namespace, name, phase, node, restarts, created };
  if (deleted !== undefined) {
    return { ...row, health: 'Moving', why: `being deleted since ${deleted}${ready ? `: ${textOf(ready)}` : ''}` };
  }
  if (ready === undefined) return { ...row, health: 'Unknown', why: 'no operator has seen it yet' };
  const stalled = conditionOf(now, 'Stalled');
  if (stalled?.status === 'True') return { ...row, health: 'Wrong', why: textOf(stalled) };
  if (phase === 'Unknown') return { ...row, health: 'Unknown', why: textOf(ready) };
  if (ready.status === 'True') {
    const restart = conditionOf(now, 'RestartRequired');
    const why = restart?.status === 'True' ? `restart required: ${restart.message}` : textOf(ready);
    return { ...row, health: phase === 'Running' ? 'Good' : 'Resting', why };
  }
  return { ...row, health: phase === 'Failed' ? 'Wrong' : 'Moving', why: textOf(ready) };
}

export interface HostRow {
  readonly name: string;
  readonly health: Health;
  readonly build: number | undefined;
  readonly memoryInMB: number | undefined;
  readonly processors: number | undefined;
  readonly why: string;
}

const host = z.looseObject({
  metadata,
  spec: z.looseObject({ unschedulable: z.boolean().default(false) }).prefault({}),
  status: z
    .looseObject({
      osBuild: z.number().optional(),
      memoryInMB: z.number().optional(),
      logicalProcessors: z.number().optional(),
      networks: z
        .array(z.looseObject({ name: z.string(), type: z.string() }))
        .optional()
        .catch(undefined),
      conditions: conditions.catch([]),
    })
    .prefault({}),
});

export function hostRow(object: unknown): HostRow {
  const parsed = host.safeParse(object);
  const none = { build: undefined, memoryInMB: undefined, processors: undefined };
  return parsed.success ? hostRowOf(parsed.data) : { ...unreadable(object, parsed.error), ...none };
}

function hostRowOf({ metadata: about, spec, status }: z.infer<typeof host>): HostRow {
  const connected = conditionOf(status.conditions, 'Connected');
  const { logicalProcessors: processors, memoryInMB, osBuild: build } = status;
  const row = { name: about.name, build, memoryInMB, processors };
  if (connected === undefined) return { ...row, health: 'Unknown', why: 'no operator has seen it yet' };
  if (connected.status !== 'True') return { ...row, health: 'Wrong', why: textOf(connected) };
  if (spec.unschedulable) return { ...row, health: 'Resting', why: 'takes no further VMs: spec.unschedulable' };
  return { ...row, health: 'Good', why: `${textOf(connected)}${networksText(status.networks ?? [])}` };
}

/** The networks of HNS that the host has, after why it is well. */
function networksText(networks: readonly { readonly name: string; readonly type: string }[]): string {
  if (networks.length === 0) return '';
  return `; networks: ${networks.map(({ name, type }) => `${name} (${type})`).join(', ')}`;
}

export interface SetRow {
  readonly namespace: string;
  readonly name: string;
  readonly health: Health;
  readonly desired: number;
  readonly ready: number;
  readonly updated: number;
  readonly available: number;
  readonly created: string | undefined;
  /** How far its rollout is. */
  readonly why: string;
}

const healths = { Done: 'Good', Waiting: 'Moving', Failed: 'Wrong' } as const;

export function setRow(object: unknown): SetRow {
  try {
    return setRowOf(parseSet(object));
  } catch (error) {
    const none = { desired: 0, ready: 0, updated: 0, available: 0, created: undefined };
    return { ...unreadable(object, error), ...none };
  }
}

function setRowOf(set: ShownSet): SetRow {
  const { metadata: about, spec, status } = set;
  const { kind, text } = judge(set);
  return {
    namespace: about.namespace,
    name: about.name,
    health: healths[kind],
    desired: spec.replicas,
    ready: status.readyReplicas ?? 0,
    updated: status.updatedReplicas ?? 0,
    available: status.availableReplicas ?? 0,
    created: about.creationTimestamp,
    why: text,
  };
}

/** The API server itself sees to name and namespace. */
const named = z.looseObject({ metadata });

function unreadable(object: unknown, error: unknown) {
  const { name, namespace } = named.parse(object).metadata;
  const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
  return { name, namespace, health: 'Unknown', why: `it cannot be read: ${why}` } as const;
}

function textOf({ message, reason }: Condition): string {
  return message === '' ? reason : `${reason}: ${message}`;
}
