// Calls that are under way on something that must not be closed before they have come back, and operations that they wait
// for. An operation can be given up, as hcsshim does when its time is over; a native call that runs cannot.

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

  /** Nobody waits for its result. */
  keep(call: Promise<unknown>): void {
    this.pass(call).catch(() => undefined);
  }

  /** Whether an operation was completed, or given up before. */
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

  /** HCS is not going to complete what is under way now. */
  giveUp(): void {
    for (const giveUp of this.#waits) giveUp();
  }

  /** Also of what a call has begun that was under way. */
  async ended(): Promise<void> {
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls);
  }
}
