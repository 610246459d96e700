// What the dashboard shows of an object, as a short row. An object of a newer operator may lack anything.
import { z } from 'zod';
import { type Condition, conditions } from '../../crds/object.ts';
import { conditionOf, judge } from '../rollout/judgement.ts';
import { parseSet } from '../rollout/objects.ts';

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
  const { metadata: about, status } = machine.parse(object);
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
      conditions: conditions.catch([]),
    })
    .prefault({}),
});

export function hostRow(object: unknown): HostRow {
  const { metadata: about, spec, status } = host.parse(object);
  const connected = conditionOf(status.conditions, 'Connected');
  const { logicalProcessors: processors, memoryInMB, osBuild: build } = status;
  const row = { name: about.name, build, memoryInMB, processors };
  if (connected === undefined) return { ...row, health: 'Unknown', why: 'no operator has seen it yet' };
  if (connected.status !== 'True') return { ...row, health: 'Wrong', why: textOf(connected) };
  if (spec.unschedulable) return { ...row, health: 'Resting', why: 'takes no further VMs: spec.unschedulable' };
  return { ...row, health: 'Good', why: textOf(connected) };
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
  const set = parseSet(object);
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

function textOf({ message, reason }: Condition): string {
  return message === '' ? reason : `${reason}: ${message}`;
}
