// Which VMs keep a rollout from its end, and why.
import { restartedAtAnnotation, revisionLabel } from '../../crds/names.ts';
import type { Api } from '../api.ts';
import { conditionOf } from './judgement.ts';
import { type Member, membersOf, type ShownSet } from './objects.ts';

const shownMembers = 5;

/** A line for each of the first VMs that are not as they should be; those of the new revision come first. */
export async function troublesOf(api: Api, set: ShownSet): Promise<readonly string[]> {
  const { updateRevision } = set.status;
  const troubled: Member[] = [];
  for await (const each of membersOf(api, set)) if (!isReady(each) || !isSettled(each)) troubled.push(each);
  const isNew = (member: Member) => revisionOf(member) === updateRevision;
  const ordered = [...troubled.filter(isNew), ...troubled.filter((each) => !isNew(each))];
  const lines = ordered.slice(0, shownMembers).map((each) => troubleOf(each, isNew(each)));
  const left = ordered.length - lines.length;
  return left > 0 ? [...lines, `${left} more VMs`] : lines;
}

/** A VM of the new revision that cannot become ready as it is; undefined if there is none. */
export async function stuckMember(api: Api, set: ShownSet): Promise<string | undefined> {
  const { updateRevision } = set.status;
  if (updateRevision === undefined) return undefined;
  for await (const each of membersOf(api, set, { revision: updateRevision })) {
    if (isSettled(each) && conditionOf(each.status.conditions, 'Stalled')?.status === 'True') {
      return troubleOf(each, true);
    }
  }
  return undefined;
}

function revisionOf({ metadata: { labels } }: Member): string | undefined {
  return labels[revisionLabel];
}

function isReady({ metadata, status }: Member): boolean {
  return metadata.deletionTimestamp === undefined && conditionOf(status.conditions, 'Ready')?.status === 'True';
}

/** Its conditions are about the present spec, and no restart is to come. */
function isSettled({ metadata, status }: Member): boolean {
  const restart = metadata.annotations[restartedAtAnnotation];
  const isRestarted = restart === undefined || restart === status.restartedAt;
  return isRestarted && (status.observedGeneration ?? 0) >= metadata.generation;
}

function troubleOf(member: Member, isNew: boolean): string {
  const { name, deletionTimestamp } = member.metadata;
  const which = `${name} (${isNew ? 'new' : 'former'} revision)`;
  if (deletionTimestamp !== undefined) return `${which} is being deleted since ${deletionTimestamp}`;
  if (isReady(member)) return `${which}: its agent has not done yet what was written`;
  const { conditions } = member.status;
  const stalled = conditionOf(conditions, 'Stalled');
  const cause = stalled?.status === 'True' ? stalled : conditionOf(conditions, 'Ready');
  if (cause === undefined) return `${which}: no host has reported on it`;
  return `${which}: ${cause.type} is ${cause.status} since ${cause.lastTransitionTime}: ${cause.reason}: ${cause.message}`;
}
