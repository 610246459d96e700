// Whether a VM of a set is there for its users, as its stored object says: it is ready, and nothing was written that will
// take it away.
import { restartedAtAnnotation } from '../../../crds/names.ts';
import type { StoredObject } from '../api-server/objects.ts';
import { membersOf } from './set-rules.ts';
import { conditionOf } from './stored-condition.ts';

/** Apart from how long it has been ready. */
export function isPresent(object: StoredObject): boolean {
  const ready = conditionOf(object, 'Ready');
  const { runStrategy } = membersOf(object['spec']);
  if (ready?.['status'] !== 'True' || object.metadata.deletionTimestamp !== undefined) return false;
  // Ready is said of a halted VM, too, and may be about the strategy that it had before.
  if ((runStrategy === 'Halted') !== (ready['reason'] === 'Halted')) return false;
  return !isEvicting(object) && (runStrategy === 'Halted' || !isRestartPending(object));
}

export function isEvicting(object: StoredObject): boolean {
  return conditionOf(object, 'Evicting')?.['status'] === 'True';
}

export function restartOf({ metadata }: StoredObject): string | undefined {
  return metadata.annotations?.[restartedAtAnnotation];
}

function isRestartPending(object: StoredObject): boolean {
  const asked = restartOf(object);
  return asked !== undefined && asked !== membersOf(object['status'])['restartedAt'];
}

/** Since when it is ready, in milliseconds since the epoch: as the operator says, and with the start by its host's clock. */
export function readySince(object: StoredObject): { readonly earliest: number; readonly latest: number } {
  const earliest = timeOf(conditionOf(object, 'Ready')?.['lastTransitionTime']);
  return { earliest, latest: Math.max(earliest, timeOf(membersOf(object['status'])['startTime'])) };
}

function timeOf(text: unknown): number {
  const time = Date.parse(String(text));
  return Number.isNaN(time) ? 0 : time;
}
