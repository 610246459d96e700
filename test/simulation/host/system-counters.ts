// How often systems were created, started and terminated, for judges.

export interface SystemCounts {
  readonly creates: number;
  readonly starts: number;
  /** Guests that came up: their agents could have reported the VM as running. */
  readonly guestsUp: number;
  /** Requests that took effect. */
  readonly terminates: number;
}

export class SystemCounters {
  readonly #counts = new Map<string, SystemCounts>();

  get counts(): ReadonlyMap<string, SystemCounts> {
    return this.#counts;
  }

  created(id: string): void {
    this.#add(id, 'creates');
  }

  started(id: string): void {
    this.#add(id, 'starts');
  }

  guestUp(id: string): void {
    this.#add(id, 'guestsUp');
  }

  terminated(id: string): void {
    this.#add(id, 'terminates');
  }

  #add(id: string, what: keyof SystemCounts): void {
    const counts = this.#counts.get(id) ?? { creates: 0, starts: 0, guestsUp: 0, terminates: 0 };
    this.#counts.set(id, { ...counts, [what]: counts[what] + 1 });
  }
}
