// The objects of one kind, and their recent changes: what the watch cache of an API server knows.
import type { Version } from './objects.ts';

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly key: string;
  readonly revision: number;
  /** Milliseconds since the beginning of the run. */
  readonly at: number;
  /** What a watch sends: a deleted object in its last state, with the version of the deletion. */
  readonly version: Version;
  readonly before: Version | undefined;
}

/** The smallest capacity of the watch cache of kube-apiserver, and how long an event stays in a larger one. */
const window = { changes: 100, milliseconds: 75_000 } as const;

export class Collection {
  readonly #objects = new Map<string, Version>();
  readonly #listeners = new Set<(change: Change) => void>();
  #history: Change[] = [];
  /** The history has all changes after this revision. */
  #floor: number;

  constructor(revision: number) {
    this.#floor = revision;
  }

  get(key: string): Version | undefined {
    return this.#objects.get(key);
  }

  values(): Iterable<Version> {
    return this.#objects.values();
  }

  /** All objects at this revision, by key. Undefined if the history does not reach back so far. */
  at(revision: number): ReadonlyMap<string, Version> | undefined {
    if (revision < this.#floor) return undefined;
    const last = this.#history.at(-1);
    if (last === undefined || last.revision <= revision) return this.#objects;
    const objects = new Map(this.#objects);
    for (const change of this.#history.toReversed()) {
      if (change.revision <= revision) break;
      if (change.before === undefined) objects.delete(change.key);
      else objects.set(change.key, change.before);
    }
    return objects;
  }

  /** The oldest known revision that was current at this time or later; undefined if it is the current one. */
  revisionAt(time: number): number | undefined {
    const next = this.#history.find(({ at }) => at > time);
    return next === undefined ? undefined : next.revision - 1;
  }

  /** The changes after this revision. Undefined if the history does not reach back so far. */
  since(revision: number): readonly Change[] | undefined {
    if (revision < this.#floor) return undefined;
    return this.#history.filter((change) => change.revision > revision);
  }

  /** Returns a function that ends it. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  apply(change: Change): void {
    if (change.type === 'DELETED') this.#objects.delete(change.key);
    else this.#objects.set(change.key, change.version);
    this.#history.push(change);
    this.#forget(change.at);
    for (const listener of this.#listeners) listener(change);
  }

  /** Forgets all changes: a watch from an older revision is refused. */
  compact(revision: number): void {
    this.#history = [];
    this.#floor = revision;
  }

  snapshot(): ReadonlyMap<string, Version> {
    return new Map(this.#objects);
  }

  /** Goes back to a snapshot. No watch hears of it. */
  reset(objects: ReadonlyMap<string, Version>, revision: number): void {
    this.#objects.clear();
    for (const [key, version] of objects) this.#objects.set(key, version);
    this.compact(revision);
  }

  /** Removes half a window at a time, so that it costs little for each change. */
  #forget(now: number): void {
    const surplus = this.#history.length - window.changes;
    if (surplus < window.changes) return;
    const old = this.#history.findIndex(({ at }) => now - at < window.milliseconds);
    const removed = this.#history.splice(0, Math.min(surplus, old));
    this.#floor = removed.at(-1)?.revision ?? this.#floor;
  }
}
