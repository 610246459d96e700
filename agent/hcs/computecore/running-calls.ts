// Calls that are under way on something that must not be closed before they have come back.

export class RunningCalls {
  readonly #calls = new Set<Promise<unknown>>();

  async pass<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** Nobody waits for its result. */
  keep(call: Promise<unknown>): void {
    this.pass(call).catch(() => undefined);
  }

  /** Also of what a call has begun that was under way. */
  async ended(): Promise<void> {
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls);
  }
}
