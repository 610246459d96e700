// How far the rollout of a set is: a pure function of the set.
import type { Condition } from '../../crds/object.ts';
import { counted } from '../../runtime/counted.ts';
import { setType } from '../object-types.ts';
import type { ShownSet } from './objects.ts';

export type Judgement =
  | { readonly kind: 'Done'; readonly text: string }
  | { readonly kind: 'Waiting'; readonly text: string }
  /** The rollout does not end by itself. */
  | { readonly kind: 'Failed'; readonly text: string };

export function judge(set: ShownSet): Judgement {
  const { metadata, spec, status } = set;
  if (metadata.deletionTimestamp !== undefined) return failed('it is being deleted');
  if ((status.observedGeneration ?? 0) < metadata.generation) {
    return { kind: 'Waiting', text: 'the operator has not seen the latest change' };
  }
  const [stalled, ready] = ['Stalled', 'Ready'].map((type) => conditionOf(status.conditions, type));
  if (stalled?.status === 'True') return failed(`${stalled.reason}: ${stalled.message}`);
  const behind = Math.max(0, spec.replicas - (status.updatedReplicas ?? 0));
  if (behind > 0) {
    const reason = whyNothingHappens(set, behind);
    if (reason !== undefined) return failed(reason);
  }
  return ready?.status === 'True' ? done(set, behind) : { kind: 'Waiting', text: progress(set) };
}

export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

const failed = (text: string): Judgement => ({ kind: 'Failed', text });

function whyNothingHappens({ metadata: { name }, spec: { update } }: ShownSet, behind: number): string | undefined {
  const those = `${counted(behind, 'VM')} without the present template`;
  if (update.paused) {
    return `paused, with ${those}: "kubectl luvm rollout resume ${setType.short}/${name}" continues the rollout`;
  }
  if (update.type !== 'OnDelete') return undefined;
  return `spec.update.type is OnDelete, and there are ${those}: delete a VM to have it made again with the template`;
}

function done({ spec: { replicas }, status }: ShownSet, behind: number): Judgement {
  const { updateRevision = 'unknown' } = status;
  const have = `${replicas - behind} of ${counted(replicas, 'VM')} have the revision ${updateRevision}`;
  return { kind: 'Done', text: behind === 0 ? have : `${have}, and the others keep theirs (spec.update.partition)` };
}

function progress({ spec, status: { rollout = {} } }: ShownSet): string {
  const { done: finished = 0, method, target = spec.replicas, waitingFor } = rollout;
  const how = method === undefined ? '' : ` (${method})`;
  const what = `${finished} of ${counted(target, 'VM')} are rolled out${how}`;
  return waitingFor === undefined ? what : `${what}: ${waitingFor}`;
}
