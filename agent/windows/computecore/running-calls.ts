// Counts the running calls on an object that must not be closed before they return, and the operations that they wait
// for. An operation can be given up, as hcsshim does when its time is over; a running native call cannot.

export class RunningCalls {
  readonly #calls = new Set<Promise<unknown>>();
  readonly #waits = new Set<() => void>();

  async pass<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** Keeps track of a call whose result nobody awaits. */
  keep(call: Promise<unknown>): void {
    this.pass(call).catch(() => undefined);
  }

  /** Whether an operation completed or was given up first. */
  async completion(completed: Promise<void>): Promise<'completed' | 'givenUp'> {
    const { promise, resolve } = Promise.withResolvers<'completed' | 'givenUp'>();
    const giveUp = () => resolve('givenUp');
    this.#waits.add(giveUp);
    completed.then(() => resolve('completed'));
    try {
      return await promise;
    } finally {
      this.#waits.delete(giveUp);
    }
  }

  /** HCS is not going to complete the current operations. */
  giveUp(): void {
    for (const giveUp of this.#waits) giveUp();
  }

  /** Resolves when all calls have returned, including those that running calls started. */
  async ended(): Promise<void> {
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls);
  }
}
