// Bytes that all guests of a host together may have waiting in one place of the agent. Each guest has a small share
// that is always its own; more comes out of this common budget. So many guests together cannot hold as much as one
// guest may, times their number.

export class ByteBudget {
  readonly #limit: number;
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get held(): number {
    return this.#held;
  }

  get isUsedUp(): boolean {
    return this.#held >= this.#limit;
  }

  /** Adds waiting bytes; a negative number removes them. */
  change(bytes: number): void {
    this.#held += bytes;
  }
}
