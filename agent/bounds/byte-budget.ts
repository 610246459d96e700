// Bytes that all guests of a host together may have waiting somewhere in the agent. Each has a small share that is always
// its own; what is beyond it comes out of the common budget, so that many guests at once cannot have what one may.

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

  /** So many more are waiting, or fewer. */
  change(bytes: number): void {
    this.#held += bytes;
  }
}
