// A queue of accepted connections that nobody has taken yet, and of callers that wait for a connection.
import type { Duplex } from 'node:stream';

interface Waiting<T> {
  readonly resolve: (connection: T) => void;
  readonly reject: (cause: unknown) => void;
}

export class AcceptQueue<T extends Duplex> {
  readonly #limit: number;
  readonly #arrived: T[] = [];
  readonly #waiting = new Set<Waiting<T>>();
  #closed: Error | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** A connection beyond the limit is destroyed. */
  arrive(connection: T): void {
    const [first] = this.#waiting;
    if (first !== undefined) first.resolve(connection);
    else if (this.#closed !== undefined || this.#arrived.length >= this.#limit) connection.destroy();
    else this.#keep(connection);
  }

  accept(signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    return this.#wait(signal);
  }

  close(cause: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = cause;
    for (const waiting of this.#waiting) waiting.reject(cause);
    for (const connection of this.#arrived.splice(0)) connection.destroy();
  }

  async #wait(signal: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: Waiting<T> = { resolve, reject };
    const onAbort = () => reject(signal.reason);
    this.#waiting.add(waiting);
    signal.addEventListener('abort', onAbort);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#waiting.delete(waiting);
    }
  }

  /** A connection that breaks while it waits is still returned by `accept`: reading from it reports the error. */
  #keep(connection: T): void {
    connection.on('error', () => {});
    this.#arrived.push(connection);
  }
}
