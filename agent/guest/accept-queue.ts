// Connections that wait for whoever accepts them, and those who wait for a connection.
import type { Duplex } from 'node:stream';

interface Waiting {
  readonly resolve: (connection: Duplex) => void;
  readonly reject: (cause: unknown) => void;
}

export class AcceptQueue {
  readonly #limit: number;
  readonly #arrived: Duplex[] = [];
  readonly #waiting = new Set<Waiting>();
  #closed: Error | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** One too many is destroyed. */
  arrive(connection: Duplex): void {
    const [first] = this.#waiting;
    if (first !== undefined) first.resolve(connection);
    else if (this.#closed !== undefined || this.#arrived.length >= this.#limit) connection.destroy();
    else this.#keep(connection);
  }

  accept(signal: AbortSignal): Promise<Duplex> {
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

  async #wait(signal: AbortSignal): Promise<Duplex> {
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    const waiting: Waiting = { resolve, reject };
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

  /** A connection that breaks while it waits is still handed out: reading it tells. */
  #keep(connection: Duplex): void {
    connection.on('error', () => {});
    this.#arrived.push(connection);
  }
}
