// The work queue: a key is worked on by one worker at a time; added while it is worked on, it is done once more after
// that. Failures of a key are repeated with a backoff of its own. A key that finds no room is not lost: the whole set of
// keys is asked for again once there is room.
import type { Clock, Random, Timer } from '../../protocol/clock.ts';

export type Result =
  | { readonly kind: 'Done' }
  /** Fine so far; look again after this time. */
  | { readonly kind: 'After'; readonly milliseconds: number }
  /** Later, by the backoff of the key, but not sooner than `error` asks for. */
  | { readonly kind: 'Retry'; readonly error: unknown };

export const done: Result = { kind: 'Done' };

export interface QueueObserver {
  added(queue: string): void;
  started(queue: string, waitedMilliseconds: number, depth: number): void;
  finished(queue: string, workedMilliseconds: number): void;
  retried(queue: string, key: string, error: unknown): void;
  overflowed(queue: string): void;
}

export interface QueueOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: QueueObserver;
  readonly concurrency: number;
  readonly maximumKeys: number;
  readonly work: (key: string) => Promise<Result>;
  /** Adds every key there is; called after an overflow. */
  readonly resync: () => void;
}

const backoff = { firstMilliseconds: 50, capMilliseconds: 60_000 } as const;

export class WorkQueue {
  readonly #options: QueueOptions;
  /** Waiting keys in order, with the time at which each was added. */
  readonly #waiting = new Map<string, number>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly timer: Timer; readonly due: number }>();
  readonly #failures = new Map<string, number>();
  /** Keys that the API server asked to come back with later, and when. */
  readonly #held = new Map<string, number>();
  #overflowed = false;
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get depth(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#stopped || this.#waiting.has(key)) return;
    const held = (this.#held.get(key) ?? 0) - this.#options.clock.now();
    if (held > 0) {
      this.addAfter(key, Math.min(held, backoff.capMilliseconds));
      return;
    }
    this.#held.delete(key);
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    if (this.#waiting.size >= this.#options.maximumKeys) {
      this.#overflowed = true;
      this.#options.observer.overflowed(this.#options.name);
      return;
    }
    this.#options.observer.added(this.#options.name);
    this.#waiting.set(key, this.#options.clock.now());
    this.#dispatch();
  }

  /** The earliest of several wishes counts. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#stopped) return;
    const due = this.#options.clock.now() + milliseconds;
    const pending = this.#timers.get(key);
    if (pending !== undefined && pending.due <= due) return;
    pending?.timer.cancel();
    const timer = this.#options.clock.after(milliseconds, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, { timer, due });
  }

  /** Takes no more keys and waits for those that are being worked on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#waiting.clear();
    this.#again.clear();
    this.#held.clear();
    if (this.#working.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #dispatch(): void {
    for (const [key, addedAt] of this.#waiting) {
      if (this.#working.size >= this.#options.concurrency) return;
      this.#waiting.delete(key);
      this.#working.add(key);
      void this.#process(key, addedAt);
    }
    this.#recoverFromOverflow();
  }

  async #process(key: string, addedAt: number): Promise<void> {
    const { clock, observer, name, work } = this.#options;
    const startedAt = clock.now();
    observer.started(name, startedAt - addedAt, this.#waiting.size);
    let result: Result;
    try {
      result = await work(key);
    } catch (error) {
      result = { kind: 'Retry', error };
    }
    observer.finished(name, clock.now() - startedAt);
    this.#working.delete(key);
    this.#conclude(key, result);
    if (this.#again.delete(key)) this.add(key);
    this.#dispatch();
    if (this.#working.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #conclude(key: string, result: Result): void {
    if (result.kind === 'Retry') {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      this.#options.observer.retried(this.#options.name, key, result.error);
      const ceiling = Math.min(backoff.capMilliseconds, backoff.firstMilliseconds * 2 ** failures);
      const asked = askedPause(result.error);
      if (asked > 0) this.#held.set(key, this.#options.clock.now() + asked);
      this.addAfter(key, Math.max(asked, ceiling / 2 + (this.#options.random() * ceiling) / 2));
      return;
    }
    this.#failures.delete(key);
    if (result.kind === 'After') this.addAfter(key, result.milliseconds);
  }

  #recoverFromOverflow(): void {
    if (!this.#overflowed || this.#waiting.size > this.#options.maximumKeys / 2) return;
    this.#overflowed = false;
    this.#options.resync();
  }
}

/** `Retry-After` of an answer to a write, such as a 429, within reason. */
function askedPause(error: unknown): number {
  const asked = typeof error === 'object' && error !== null && 'retryAfterMilliseconds' in error;
  const milliseconds = asked ? Number(error.retryAfterMilliseconds) : 0;
  return Number.isFinite(milliseconds) ? Math.min(milliseconds, backoff.capMilliseconds) : 0;
}
