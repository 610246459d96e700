// Reads and writes the ControllerRevisions of sets. They are read once in a term, by label, and never watched: nobody
// else writes them.
import { apiVersion, changeCauseAnnotation, setLabel } from '../../../crds/linux-utility-vm.ts';
import type { SetTemplate } from '../../../crds/set/template.ts';
import { beginning } from '../../../runtime/beginning.ts';
import { isAlreadyExists, isNotFound, type Outcome, succeeded } from '../../kubernetes/api-error.ts';
import type { KubeHttp } from '../../kubernetes/http.ts';
import type { MachineSet } from '../../kubernetes/objects.ts';
import { collectionPath, ResourceClient } from '../../kubernetes/resource-client.ts';
import { list } from '../../kubernetes/watch.ts';
import {
  highestNumber,
  parseRevision,
  type Revision,
  revisionKind,
  revisionName,
  revisionOf,
  surplusRevisions,
} from './revisions.ts';

export interface Ensured {
  readonly update: Revision;
  readonly all: readonly Revision[];
  readonly collisionCount: number;
}

const collisionsMaximum = 16;
const changeCauseChars = 1_024;

export class RevisionStore {
  readonly #http: KubeHttp;
  readonly #client: ResourceClient<Revision>;
  readonly #stop: AbortSignal;
  /** By uid of the set. */
  readonly #known = new Map<string, readonly Revision[]>();

  constructor(http: KubeHttp, stop: AbortSignal) {
    this.#http = http;
    this.#client = new ResourceClient(http, revisionKind);
    this.#stop = stop;
  }

  forget(uid: string): void {
    this.#known.delete(uid);
  }

  /** The revision of the template, which becomes the newest one. */
  async ensure(set: MachineSet, template: SetTemplate): Promise<Outcome<Ensured>> {
    const read = await this.read(set);
    if (!read.ok) return read;
    const all = read.value;
    const known = revisionOf(all, template);
    const collisionCount = set.status.collisionCount ?? 0;
    if (known === undefined) return this.#create(set, template, all, collisionCount);
    const change = { ...raise(known, all), ...explain(known, set) };
    if (Object.keys(change).length === 0) return succeeded({ update: known, all, collisionCount });
    const changed = await this.#client.mergePatch(known, change);
    if (!changed.ok) return this.#failed(set, changed);
    return succeeded({ update: changed.value, all: this.#keep(set, changed.value), collisionCount });
  }

  /** Deletes the oldest revisions beyond the limit. */
  async prune(set: MachineSet, inUse: ReadonlySet<string>, limit: number): Promise<void> {
    for (const each of surplusRevisions(this.#known.get(set.metadata.uid) ?? [], inUse, limit)) {
      const deleted = await this.#client.delete(each);
      if (!deleted.ok && !isNotFound(deleted.error)) {
        this.forget(set.metadata.uid);
        return;
      }
      this.#without(set, each);
    }
  }

  async #create(
    set: MachineSet,
    template: SetTemplate,
    all: readonly Revision[],
    collisionCount: number,
  ): Promise<Outcome<Ensured>> {
    const { name: setName, namespace } = set.metadata;
    const name = revisionName(setName, template, collisionCount);
    const created = await this.#client.create(
      { name, namespace },
      {
        metadata: {
          ...{ name, namespace, labels: { [setLabel]: setName }, ownerReferences: [ownerOf(set)] },
          ...explain(undefined, set).metadata,
        },
        data: { template },
        revision: highestNumber(all) + 1,
      },
    );
    if (created.ok) {
      return succeeded({ update: created.value, all: this.#keep(set, created.value), collisionCount });
    }
    if (!isAlreadyExists(created.error)) return this.#failed(set, created);
    const isUnread = !all.some(({ metadata }) => metadata.name === name);
    if (isUnread && this.#known.delete(set.metadata.uid)) {
      const again = await this.read(set);
      if (!again.ok) return again;
      const known = revisionOf(again.value, template);
      if (known !== undefined) return succeeded({ update: known, all: again.value, collisionCount });
    }
    if (collisionCount >= collisionsMaximum) return created;
    return this.#create(set, template, this.#known.get(set.metadata.uid) ?? all, collisionCount + 1);
  }

  /** All revisions of the set. */
  async read(set: MachineSet): Promise<Outcome<readonly Revision[]>> {
    const known = this.#known.get(set.metadata.uid);
    if (known !== undefined) return succeeded(known);
    const { name, namespace } = set.metadata;
    const found: Revision[] = [];
    const path = collectionPath(revisionKind, namespace);
    const listed = await list(this.#http, { path, labelSelector: `${setLabel}=${name}` }, this.#stop, (items) => {
      found.push(...items.flatMap((item) => parseRevision(item) ?? []));
    });
    if (!listed.ok) return listed;
    const own = await this.#adopt(set, found);
    if (own.ok) this.#known.set(set.metadata.uid, own.value);
    return own;
  }

  /** Revisions that a deleted set of this name left behind explain the labels of its VMs. */
  async #adopt(set: MachineSet, found: readonly Revision[]): Promise<Outcome<readonly Revision[]>> {
    const own: Revision[] = [];
    for (const each of found) {
      const controller = each.metadata.ownerReferences?.find((reference) => reference.controller === true);
      if (controller?.uid === set.metadata.uid) own.push(each);
      if (controller !== undefined) continue;
      const ownerReferences = [...(each.metadata.ownerReferences ?? []), ownerOf(set)];
      const adopted = await this.#client.mergePatch(each, { metadata: { ownerReferences } });
      if (!adopted.ok) return adopted;
      own.push(adopted.value);
    }
    return succeeded(own);
  }

  #keep(set: MachineSet, revision: Revision): readonly Revision[] {
    const { uid } = set.metadata;
    const others = (this.#known.get(uid) ?? []).filter(({ metadata }) => metadata.uid !== revision.metadata.uid);
    const all = [...others, revision];
    this.#known.set(uid, all);
    return all;
  }

  #without(set: MachineSet, revision: Revision): void {
    const { uid } = set.metadata;
    const known = this.#known.get(uid) ?? [];
    this.#known.set(
      uid,
      known.filter(({ metadata }) => metadata.uid !== revision.metadata.uid),
    );
  }

  /** Somebody else may have changed the revisions: they are read again. */
  #failed<T>(set: MachineSet, outcome: Outcome<T> & { readonly ok: false }): Outcome<never> {
    this.forget(set.metadata.uid);
    return outcome;
  }
}

function raise(known: Revision, all: readonly Revision[]): { readonly revision?: number } {
  const highest = highestNumber(all);
  return known.number === highest ? {} : { revision: highest + 1 };
}

/** The revision of the present template has the change cause that the set has. */
function explain(
  known: Revision | undefined,
  { metadata: { annotations } }: MachineSet,
): { readonly metadata?: object } {
  const cause = annotations?.[changeCauseAnnotation];
  if (cause === undefined) return {};
  const kept = beginning(cause, changeCauseChars);
  if (known?.metadata.annotations?.[changeCauseAnnotation] === kept) return {};
  return { metadata: { annotations: { [changeCauseAnnotation]: kept } } };
}

/** As the API server's garbage collector follows it. */
export function ownerOf({ metadata: { name, uid } }: MachineSet) {
  return { apiVersion, kind: 'LinuxUtilityVMSet', name, uid, controller: true, blockOwnerDeletion: true };
}
