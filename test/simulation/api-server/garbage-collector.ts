// Deletes objects whose owners are gone, a while later, as the garbage collector of kube-controller-manager does.
import type { World } from '../world.ts';
import type { Faults } from './faults.ts';
import { servedKinds } from './kinds.ts';
import { keyOf, type StoredObject } from './objects.ts';
import type { Store, Write } from './store.ts';

const name = 'garbage collector';
const milliseconds = { minimum: 100, spread: 3_000 } as const;

export class GarbageCollector {
  readonly #world: World;
  readonly #store: Store;
  readonly #faults: Faults;
  #isDue = false;

  constructor(world: World, store: Store, faults: Faults) {
    this.#world = world;
    this.#store = store;
    this.#faults = faults;
  }

  /** Looks again after a write that may leave an object without its owner. */
  noticed({ before, after }: Pick<Write, 'before' | 'after'>): void {
    const isRemoved = after === undefined;
    if (isRemoved || (before === undefined && after.metadata.ownerReferences !== undefined)) this.lookLater();
  }

  lookLater(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const pause = milliseconds.minimum + milliseconds.spread * this.#faults.chance(name).number();
    this.#world.after(pause, name, () => this.#look());
  }

  #look(): void {
    this.#isDue = false;
    const uids = new Set<string>();
    const owned: [StoredObject, (typeof servedKinds)[number]][] = [];
    for (const kind of servedKinds) {
      for (const { object } of this.#store.collection(kind.kind).values()) {
        uids.add(object.metadata.uid);
        if (object.metadata.ownerReferences !== undefined) owned.push([object, kind]);
      }
    }
    for (const [{ metadata }, kind] of owned) {
      const { ownerReferences = [], uid, deletionTimestamp } = metadata;
      const isOrphan = ownerReferences.length > 0 && !ownerReferences.some((owner) => uids.has(owner.uid));
      if (isOrphan && deletionTimestamp === undefined) this.#store.remove(kind, keyOf(metadata), { uid }, name);
    }
  }
}
