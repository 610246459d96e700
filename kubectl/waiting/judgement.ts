// Whether a VM is where somebody waits for it to be, or will never be there as it is: a pure function of the object.
import { z } from 'zod';
import { type Condition, conditions } from '../../crds/object.ts';
import { isRestartRequested } from '../restart-request.ts';
import { conditionOf } from '../rollout/judgement.ts';
import type { Goal } from './goals.ts';

export const waitedMachine = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    generation: z.number().default(0),
    deletionTimestamp: z.string().optional(),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  status: z
    .looseObject({
      phase: z.string().default('Pending'),
      observedGeneration: z.number().default(0),
      restartedAt: z.string().optional(),
      conditions: conditions.catch([]),
    })
    .prefault({}),
});
export type WaitedMachine = z.infer<typeof waitedMachine>;

export type Judgement = { readonly kind: 'There' | 'Waiting' | 'Never'; readonly why: string };

/** The reason of Ready when the VM is where it is to be. */
const reasons: Readonly<Record<Exclude<Goal, 'ready' | 'deleted'>, string>> = {
  halted: 'Halted',
  completed: 'Completed',
};
/** Reasons of a VM that is at rest as its manifest asks. Whoever else is not started again is stalled. */
const ends: ReadonlySet<string> = new Set(['Halted', 'Completed']);

export function judge(found: WaitedMachine, goal: Goal): Judgement {
  const { metadata, status } = found;
  const ready = conditionOf(status.conditions, 'Ready');
  const why = ready === undefined ? 'no operator has seen it yet' : `${ready.reason}: ${ready.message}`;
  const { deletionTimestamp: deleted } = metadata;
  if (goal === 'deleted') {
    return {
      kind: 'Waiting',
      why: `${deleted === undefined ? 'nobody has deleted it' : 'it is being deleted'}: ${why}`,
    };
  }
  if (deleted !== undefined) return { kind: 'Never', why: `it is being deleted since ${deleted}` };
  if (!isSettled(found, goal)) return { kind: 'Waiting', why: `the operator has not seen the latest change: ${why}` };
  const stalled = conditionOf(status.conditions, 'Stalled');
  if (stalled?.status === 'True') return { kind: 'Never', why: `${stalled.reason}: ${stalled.message}` };
  if (isThere(status.phase, ready, goal)) return { kind: 'There', why };
  const hasEnded = ends.has(ready?.reason ?? '') && status.phase !== 'Running';
  return { kind: hasEnded ? 'Never' : 'Waiting', why };
}

function isThere(phase: string, ready: Condition | undefined, goal: Exclude<Goal, 'deleted'>): boolean {
  if (ready?.status !== 'True') return false;
  return goal === 'ready' ? phase === 'Running' : ready.reason === reasons[goal];
}

/** The status is about the present spec, and no restart is to come. A VM that is at rest is not restarted. */
function isSettled(found: WaitedMachine, goal: Goal): boolean {
  const { metadata, status } = found;
  return status.observedGeneration >= metadata.generation && !(goal === 'ready' && isRestartRequested(found));
}
