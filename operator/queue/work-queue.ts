// The work queue. One worker at a time works on a key; if the key is added meanwhile, it is worked on once more. A
// failed key is repeated with its own backoff. A key that finds no room is not lost: once there is room, the queue asks
// for all keys again.
//
// Keys have groups, the namespaces of VMs. No group can delay another one by its size: groups take turns, and no group
// can occupy all workers or all room. Within a group, urgent keys go first. Work that only explains something has low
// priority: it waits behind everything else, but no longer than `lowPriority.latestMilliseconds`.
import type { Clock, Random, Timer } from '../../runtime/clock.ts';
import type { Result } from './result.ts';
import { Turns, type Waiting } from './turns.ts';

export type Lane = 'Usual' | 'Low';

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
  readonly work: (key: string, lane: Lane) => Promise<Result>;
  /** Adds every existing key. Called after an overflow. */
  readonly resync: () => void;
  /** By default each key is its own group, so keys are served in order of arrival. */
  readonly groupOf?: (key: string) => string;
  /** Whether a key goes before the others in its group. */
  readonly isUrgent?: (key: string) => boolean;
}

const backoff = { firstMilliseconds: 50, capMilliseconds: 60_000 } as const;
/** The share of workers for low priority, and the longest wait at low priority. */
export const lowPriority = { share: 1 / 4, latestMilliseconds: 45_000 } as const;
/** Work that waits for nothing external runs for this long before other parts of the process get their turn. */
const sliceMilliseconds = 10;
/**
 * A group gets one more worker while it has fewer than this many times the number of free workers: a single group gets
 * 12 of 16, two groups 6 each, and one worker is left for a further group.
 */
const workersPerFreeWorker = 3;

export class WorkQueue {
  readonly #options: QueueOptions;
  readonly #waiting = new Turns();
  readonly #low = new Turns();
  /** Since when each key has had work at low priority, oldest first. */
  readonly #lowSince = new Map<string, number>();
  #lowTimer: Timer | undefined;
  /** Keys whose wait at low priority is over: they wait with the others and count as such. */
  readonly #overdue = new Set<string>();
  readonly #working = new Map<string, { readonly group: string; readonly lane: Lane }>();
  readonly #workersOf = new Map<string, number>();
  #lowWorkers = 0;
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly timer: Timer; readonly due: number }>();
  readonly #failures = new Map<string, number>();
  /** Keys that the API server asked to repeat later, and the time. */
  readonly #held = new Map<string, number>();
  /** When the current uninterrupted stretch of work began. */
  #slice: number | undefined;
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
    return this.#waiting.size + this.#low.size;
  }

  add(key: string): void {
    if (this.#stopped) return;
    const { isUrgent = never, clock } = this.#options;
    const urgent = isUrgent(key);
    if (this.#waiting.has(key)) {
      if (urgent) this.#waiting.expedite(key);
      return;
    }
    const held = (this.#held.get(key) ?? 0) - clock.now();
    if (held > 0) {
      this.addAfter(key, Math.min(held, backoff.capMilliseconds));
      return;
    }
    this.#held.delete(key);
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#admit(key, urgent);
  }

  /** The earliest of several requested times counts. */
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

  /** Resolves when nothing waits or is worked on, now or after a stop. */
  async drained(): Promise<void> {
    if (!this.#isDrained) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Accepts no more keys and waits for the current work. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#timers.values()) timer.cancel();
    this.#lowTimer?.cancel();
    for (const keys of [this.#timers, this.#waiting, this.#low, this.#lowSince, this.#again, this.#held]) keys.clear();
    await this.drained();
  }

  get #isDrained(): boolean {
    return this.#working.size === 0 && this.depth === 0;
  }

  /** One group may fill half of the room, two groups a third each, and so on. */
  #admit(key: string, urgent: boolean): void {
    const { name, clock, maximumKeys, observer } = this.#options;
    const group = this.#groupOf(key);
    if (this.#waiting.sizeOf(group) >= maximumKeys - this.#waiting.size) {
      if (!this.#overflowed) observer.overflowed(name);
      this.#overflowed = true;
      return;
    }
    observer.added(name);
    this.#waiting.add({ key, group, addedAt: clock.now() }, urgent);
    this.#dispatch();
  }

  #groupOf(key: string): string {
    return this.#options.groupOf?.(key) ?? key;
  }

  #dispatch(): void {
    while (!this.#stopped && this.#working.size < this.#options.concurrency && this.#hasTime()) {
      const next = this.#waiting.take((group) => this.#hasWorkerFor(group));
      if (next !== undefined) this.#start(next, this.#overdue.delete(next.key) ? 'Low' : 'Usual');
      else if (!this.#startLow()) break;
    }
    this.#recoverFromOverflow();
  }

  #hasWorkerFor(group: string): boolean {
    const free = this.#options.concurrency - this.#working.size;
    return (this.#workersOf.get(group) ?? 0) < workersPerFreeWorker * free;
  }

  #startLow(): boolean {
    const { concurrency } = this.#options;
    if (this.#lowWorkers >= Math.max(1, Math.floor(concurrency * lowPriority.share))) return false;
    const next = this.#low.take((group) => this.#hasWorkerFor(group));
    if (next === undefined) return false;
    // The pass that is running decides whether anything is left.
    if (!this.#working.has(next.key)) this.#start(next, 'Low');
    return true;
  }

  /** Other parts of the process get a turn in between, however much there is to do. */
  #hasTime(): boolean {
    return this.#slice === undefined || this.#options.clock.now() - this.#slice < sliceMilliseconds;
  }

  #beginSlice(): void {
    const { clock } = this.#options;
    this.#slice = clock.now();
    clock.after(0, () => {
      this.#slice = undefined;
      this.#dispatch();
    });
  }

  #start({ key, group, addedAt }: Waiting, lane: Lane): void {
    if (this.#slice === undefined) this.#beginSlice();
    this.#working.set(key, { group, lane });
    this.#workersOf.set(group, (this.#workersOf.get(group) ?? 0) + 1);
    if (lane === 'Low') this.#lowWorkers += 1;
    void this.#process(key, lane, addedAt);
  }

  #finish(key: string): void {
    const { group, lane } = this.#working.get(key) ?? {};
    this.#working.delete(key);
    if (lane === 'Low') this.#lowWorkers -= 1;
    if (group === undefined) return;
    const workers = (this.#workersOf.get(group) ?? 1) - 1;
    if (workers === 0) this.#workersOf.delete(group);
    else this.#workersOf.set(group, workers);
  }

  async #process(key: string, lane: Lane, addedAt: number): Promise<void> {
    const { clock, observer, name, work } = this.#options;
    const startedAt = clock.now();
    observer.started(name, startedAt - addedAt, this.#waiting.size);
    let result: Result;
    try {
      result = await work(key, lane);
    } catch (error) {
      result = { kind: 'Retry', error };
    }
    observer.finished(name, clock.now() - startedAt);
    this.#finish(key);
    this.#conclude(key, lane, result);
    if (this.#again.delete(key)) this.add(key);
    this.#dispatch();
    if (this.#isDrained) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #conclude(key: string, lane: Lane, result: Result): void {
    if (result.kind === 'Retry') {
      this.#retry(key, result.error);
      return;
    }
    this.#failures.delete(key);
    if (result.kind === 'AtLowPriority' && lane === 'Usual') {
      this.#postpone(key);
      return;
    }
    this.#low.delete(key);
    this.#lowSince.delete(key);
    this.#overdue.delete(key);
    if (result.kind === 'After') this.addAfter(key, result.milliseconds);
  }

  #retry(key: string, error: unknown): void {
    const { clock, name, observer, random } = this.#options;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    observer.retried(name, key, error);
    const ceiling = Math.min(backoff.capMilliseconds, backoff.firstMilliseconds * 2 ** failures);
    const asked = askedPause(error);
    if (asked > 0) this.#held.set(key, clock.now() + asked);
    this.addAfter(key, Math.max(asked, ceiling / 2 + (random() * ceiling) / 2));
  }

  #postpone(key: string): void {
    if (this.#stopped) return;
    const addedAt = this.#lowSince.get(key) ?? this.#options.clock.now();
    this.#lowSince.set(key, addedAt);
    this.#low.add({ key, group: this.#groupOf(key), addedAt }, false);
    this.#watchLow();
  }

  #watchLow(): void {
    const [oldest] = this.#lowSince.values();
    if (oldest === undefined || this.#lowTimer !== undefined) return;
    const { clock } = this.#options;
    this.#lowTimer = clock.after(Math.max(0, oldest + lowPriority.latestMilliseconds - clock.now()), () => {
      this.#lowTimer = undefined;
      this.#promote();
      this.#watchLow();
    });
  }

  /** Moves keys whose wait at low priority is over to the other waiting keys. */
  #promote(): void {
    const latest = this.#options.clock.now() - lowPriority.latestMilliseconds;
    for (const [key, since] of this.#lowSince) {
      if (since > latest) return;
      this.#lowSince.delete(key);
      this.#low.delete(key);
      this.#overdue.add(key);
      this.add(key);
    }
  }

  #recoverFromOverflow(): void {
    if (!this.#overflowed || this.#stopped || this.#waiting.size > this.#options.maximumKeys / 4) return;
    this.#overflowed = false;
    this.#options.resync();
  }
}

const never = () => false;

/** The `Retry-After` of the answer to a write, such as a 429, up to a limit. */
function askedPause(error: unknown): number {
  const asked = typeof error === 'object' && error !== null && 'retryAfterMilliseconds' in error;
  const milliseconds = asked ? Number(error.retryAfterMilliseconds) : 0;
  return Number.isFinite(milliseconds) ? Math.min(milliseconds, backoff.capMilliseconds) : 0;
}
