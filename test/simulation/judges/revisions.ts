// A set makes no new revision, and changes no VM, unless its template changed: not because an operator was updated,
// restarted, or would store the same template in another way (docs/sets.md, Revisions).
import { revisionLabel } from '../../../crds/names.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import { controllerOf, type StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { meaningOf, membersOf, setOf } from './set-rules.ts';

/** At each write to the API server. */
export function judgeRevisions({ api }: SimulatedSystem, { after, before, kind, writer }: Write): void {
  if (after === undefined || !writer.startsWith('operator-')) return;
  if (kind === 'ControllerRevision' && before === undefined) {
    const same = api.users.list(kind).find((other) => isTwin(other, after));
    if (same === undefined) return;
    const message = `${writer} makes ${after.metadata.name}, and ${same.metadata.name} means the same`;
    throw new BrokenInvariant('a template has one revision', message);
  }
  if (kind !== 'LinuxUtilityVM' || before === undefined || setOf(before) === undefined) return;
  const [from, to] = [before, after].map((object) => revisionOf(api, object));
  if (from === undefined || to === undefined || from === to || !haveSameMeaning(from, to)) return;
  const message = `${writer} changes ${after.metadata.name} from ${from.metadata.name} to ${to.metadata.name}, which mean the same`;
  throw new BrokenInvariant('nothing rolls while a template stays', message);
}

function isTwin(one: StoredObject, other: StoredObject): boolean {
  const [owner, others] = [controllerOf(one)?.uid, controllerOf(other)?.uid];
  return one.metadata.uid !== other.metadata.uid && owner === others && haveSameMeaning(one, other);
}

function revisionOf(api: SimulatedSystem['api'], { metadata }: StoredObject): StoredObject | undefined {
  const name = metadata.labels?.[revisionLabel];
  return name === undefined ? undefined : api.users.get('ControllerRevision', { namespace: metadata.namespace, name });
}

function haveSameMeaning(one: StoredObject, other: StoredObject): boolean {
  return sameJson(meaningOf(templateOf(one)), meaningOf(templateOf(other)));
}

export function templateOf({ data }: StoredObject): unknown {
  return membersOf(data)['template'];
}
