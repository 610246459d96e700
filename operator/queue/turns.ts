// Waiting keys, by group. Groups take turns with one key each, so that a group with many keys delays another one by the
// number of groups, not by its own size. Within a group urgent keys go first, then the oldest.

export interface Waiting {
  readonly key: string;
  readonly group: string;
  readonly addedAt: number;
}

interface Group {
  /** Each key with the time at which it was added. */
  readonly urgent: Map<string, number>;
  readonly usual: Map<string, number>;
}

export class Turns {
  /** In the order of their turns. No group is empty. */
  readonly #groups = new Map<string, Group>();
  readonly #groupOf = new Map<string, string>();

  get size(): number {
    return this.#groupOf.size;
  }

  has(key: string): boolean {
    return this.#groupOf.has(key);
  }

  sizeOf(group: string): number {
    const keys = this.#groups.get(group);
    return keys === undefined ? 0 : keys.urgent.size + keys.usual.size;
  }

  add({ key, group, addedAt }: Waiting, urgent: boolean): void {
    if (this.#groupOf.has(key)) return;
    const keys = this.#groups.get(group) ?? { urgent: new Map(), usual: new Map() };
    (urgent ? keys.urgent : keys.usual).set(key, addedAt);
    this.#groups.set(group, keys);
    this.#groupOf.set(key, group);
  }

  /** Marks a waiting key as urgent. */
  expedite(key: string): void {
    const keys = this.#groups.get(this.#groupOf.get(key) ?? '');
    const addedAt = keys?.usual.get(key);
    if (keys === undefined || addedAt === undefined) return;
    keys.usual.delete(key);
    keys.urgent.set(key, addedAt);
  }

  /** The next key of the first group in turn that may be served. */
  take(mayServe: (group: string) => boolean): Waiting | undefined {
    for (const [group, keys] of this.#groups) {
      if (!mayServe(group)) continue;
      const [first] = keys.urgent.size > 0 ? keys.urgent : keys.usual;
      if (first === undefined) continue;
      const [key, addedAt] = first;
      this.#remove(key, keys);
      if (this.#groups.delete(group) && keys.urgent.size + keys.usual.size > 0) this.#groups.set(group, keys);
      return { key, group, addedAt };
    }
    return undefined;
  }

  delete(key: string): void {
    const group = this.#groupOf.get(key);
    const keys = group === undefined ? undefined : this.#groups.get(group);
    if (group === undefined || keys === undefined) return;
    this.#remove(key, keys);
    if (keys.urgent.size + keys.usual.size === 0) this.#groups.delete(group);
  }

  clear(): void {
    this.#groups.clear();
    this.#groupOf.clear();
  }

  #remove(key: string, keys: Group): void {
    this.#groupOf.delete(key);
    keys.urgent.delete(key);
    keys.usual.delete(key);
  }
}
