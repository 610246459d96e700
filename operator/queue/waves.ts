// Reconciles all VMs that wait for a host once room may be available. Several causes in quick succession lead to one
// wave. A namespace with very many waiting VMs is included less often, so that waves take a small part of the time.
import type { Clock, Timer } from '../../runtime/clock.ts';

export interface WavesOptions {
  readonly clock: Clock;
  /** Keys of the waiting VMs of all namespaces. */
  readonly waiting: () => Iterable<string>;
  readonly namespaceOf: (key: string) => string;
  readonly wake: (key: string) => void;
}

const gatherMilliseconds = 200;
/** From this many VMs on, a namespace gets a pause for each of them. */
const crowd = 500;
const pausePerKeyMilliseconds = 0.4;

export class Waves {
  readonly #options: WavesOptions;
  /** By namespace: the end of its pause. */
  readonly #pausedUntil = new Map<string, number>();
  #timer: Timer | undefined;
  #due = 0;

  constructor(options: WavesOptions) {
    this.#options = options;
  }

  request(): void {
    this.#schedule(gatherMilliseconds);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(milliseconds: number): void {
    const { clock } = this.#options;
    const due = clock.now() + milliseconds;
    if (this.#timer !== undefined && this.#due <= due) return;
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = clock.after(milliseconds, () => {
      this.#timer = undefined;
      this.#run();
    });
  }

  #run(): void {
    const now = this.#options.clock.now();
    for (const [namespace, until] of this.#pausedUntil) if (until <= now) this.#pausedUntil.delete(namespace);
    for (const [namespace, keys] of this.#waitingByNamespace()) {
      const until = this.#pausedUntil.get(namespace);
      if (until === undefined) this.#wake(namespace, keys, now);
      else this.#schedule(until - now);
    }
  }

  #wake(namespace: string, keys: readonly string[], now: number): void {
    for (const key of keys) this.#options.wake(key);
    if (keys.length > crowd) this.#pausedUntil.set(namespace, now + keys.length * pausePerKeyMilliseconds);
  }

  #waitingByNamespace(): ReadonlyMap<string, readonly string[]> {
    const { waiting, namespaceOf } = this.#options;
    const byNamespace = new Map<string, string[]>();
    for (const key of waiting()) {
      const namespace = namespaceOf(key);
      const keys = byNamespace.get(namespace);
      if (keys === undefined) byNamespace.set(namespace, [key]);
      else keys.push(key);
    }
    return byNamespace;
  }
}
