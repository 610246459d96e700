// The lock that keeps a second agent off a simulated host. The system releases it when its holder dies.
import type { HeldLock, TryLock } from '../../../agent/node/state-storage.ts';
import type { Process } from '../process.ts';

export class NodeLock {
  readonly #source: string;
  readonly #latency: () => number;
  #holder: Process | undefined;

  constructor(source: string, latency: () => number) {
    this.#source = source;
    this.#latency = latency;
  }

  /** For `StateStorage.locks`. */
  tryLock(process: Process): TryLock {
    return () => process.call(this.#source, this.#latency, () => this.#take(process));
  }

  #take(process: Process): HeldLock | undefined {
    if (this.#holder !== undefined) return undefined;
    this.#holder = process;
    const release = () => {
      if (this.#holder === process) this.#holder = undefined;
    };
    process.onDeath(release);
    return { release };
  }
}
