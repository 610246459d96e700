// What the simulated users do with the cluster. Their requests take effect at once, and never fail without a reason.
import { failed, type Outcome, succeeded } from '../../../operator/kubernetes/api-error.ts';
import { type KindName, servedKind } from './kinds.ts';
import { keyOf, parseSent, type StoredObject, type Version } from './objects.ts';
import { Refusal } from './refusal.ts';
import type { Preconditions, Store } from './store.ts';

export interface ObjectName {
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** A manifest, without `apiVersion` and `kind`. */
export interface Manifest {
  readonly metadata: ObjectName & { readonly [member: string]: unknown };
  readonly [member: string]: unknown;
}

const user = 'user';

export class SimulatedCluster {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  create(kind: KindName, manifest: Manifest): Outcome<StoredObject> {
    return outcomeOf(() => {
      const sent = parseSent(structuredClone(manifest));
      if (sent === undefined) throw new Refusal('BadRequest', 'the manifest is not an object');
      return this.#store.create(servedKind(kind), sent, user);
    });
  }

  /** A merge patch. It cannot change the status of a kind that has a subresource for it. */
  patch(kind: KindName, object: ObjectName, patch: object): Outcome<StoredObject> {
    return this.#update(kind, object, patch, 'Main');
  }

  patchStatus(kind: KindName, object: ObjectName, status: object): Outcome<StoredObject> {
    return this.#update(kind, object, { status }, 'Status');
  }

  delete(kind: KindName, object: ObjectName, preconditions: Preconditions = {}): Outcome<StoredObject> {
    return outcomeOf(() => this.#store.remove(servedKind(kind), keyOf(object), preconditions, user));
  }

  /** Removes a finalizer, as the controller that had set it does. */
  finalize(kind: KindName, object: ObjectName, finalizer: string): Outcome<StoredObject> {
    const finalizers = this.get(kind, object)?.metadata.finalizers ?? [];
    return this.patch(kind, object, { metadata: { finalizers: finalizers.filter((each) => each !== finalizer) } });
  }

  get(kind: KindName, object: ObjectName): StoredObject | undefined {
    return this.#store.collection(kind).get(keyOf(object))?.object;
  }

  list(kind: KindName): readonly StoredObject[] {
    return [...this.#store.collection(kind).values()].map(({ object }) => object);
  }

  #update(kind: KindName, object: ObjectName, patch: object, part: 'Main' | 'Status'): Outcome<StoredObject> {
    return outcomeOf(() => {
      const served = servedKind(kind);
      return this.#store.update(served, keyOf(object), { patch: structuredClone(patch) }, part, user);
    });
  }
}

function outcomeOf(act: () => Version): Outcome<StoredObject> {
  try {
    return succeeded(act().object);
  } catch (error) {
    if (error instanceof Refusal) return failed(error.error);
    throw error;
  }
}
