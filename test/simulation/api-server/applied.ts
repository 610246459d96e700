// What server-side apply keeps of a manager's earlier manifest: a field that the manager leaves out goes, unless somebody
// else has given it another value. Lists are replaced as a whole, but for the owner references.
import { isObject } from '../../../crds/structural.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import { merged, type SentObject, type StoredObject } from './objects.ts';

export class AppliedManifests {
  /** By uid and manager. */
  readonly #manifests = new Map<string, Map<string, SentObject>>();

  remember(uid: string, manager: string, sent: SentObject): void {
    const known = this.#manifests.get(uid) ?? new Map<string, SentObject>();
    this.#manifests.set(uid, known.set(manager, sent));
  }

  forget(uid: string): void {
    this.#manifests.delete(uid);
  }

  /** The object with what the manifest names, and without what only the manager's earlier one named. */
  onto(object: StoredObject, manager: string, sent: SentObject): unknown {
    const earlier = this.#manifests.get(object.metadata.uid)?.get(manager);
    const { ownerReferences = [] } = sent.metadata;
    const others = (object.metadata.ownerReferences ?? []).filter(
      (each) => !ownerReferences.some(({ uid }) => uid === each.uid),
    );
    const owners = [...others, ...ownerReferences];
    const left = merged(object, removals(earlier, sent, object));
    return merged(merged(left, sent), { metadata: { ...(owners.length > 0 && { ownerReferences: owners }) } });
  }
}

/** A merge patch of `present`. */
function removals(earlier: unknown, next: unknown, present: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(earlier) || !isObject(present)) return {};
  const entries = Object.entries(earlier).map(([name, value]) => {
    const wanted = isObject(next) ? next[name] : undefined;
    return [
      name,
      isObject(value) ? innerRemovals(value, wanted, present[name]) : leafRemoval(value, wanted, present[name]),
    ];
  });
  return Object.fromEntries(entries.filter(([, removal]) => removal !== undefined));
}

function leafRemoval(value: unknown, wanted: unknown, present: unknown): null | undefined {
  return wanted === undefined && sameJson(present, value) ? null : undefined;
}

/** A section of which nothing is left goes as a whole. */
function innerRemovals(value: object, wanted: unknown, present: unknown): object | null | undefined {
  const inner = removals(value, wanted, present);
  if (Object.keys(inner).length === 0) return undefined;
  const isEmptied = isObject(present) && Object.keys(present).every((name) => inner[name] === null);
  return wanted === undefined && isEmptied ? null : inner;
}
