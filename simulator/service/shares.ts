// The folders that a running system shares by Plan 9 (hcs-runtime B.6).
export interface SharedFolder {
  readonly path: string;
  readonly isReadOnly: boolean;
}

const readOnlyFlag = 0x1;

export class Shares {
  readonly #folders = new Map<string, SharedFolder>();
  /** A name that was used once is refused: the agent must count on. */
  readonly #used = new Set<string>();

  /** Name → path. */
  get paths(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#folders].map(([name, { path }]) => [name, path]));
  }

  find(name: string): SharedFolder | undefined {
    return this.#folders.get(name);
  }

  /** The cause of a refusal; undefined on success. */
  add(name: string, path: string, flags: number): string | undefined {
    if (this.#used.has(name)) return `the share ${name} exists, or existed`;
    this.#used.add(name);
    this.#folders.set(name, { path, isReadOnly: (flags & readOnlyFlag) !== 0 });
    return undefined;
  }

  remove(name: string): string | undefined {
    return this.#folders.delete(name) ? undefined : `there is no share ${name}`;
  }
}
