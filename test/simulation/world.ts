// Simulated time. Everything that happens is an event in a heap, ordered by time; events of the same time are ordered
// by chance. After each event all promises that it settled are run, and then the judges look.
import type { Clock, Timer } from '../../runtime/clock.ts';
import { type Chance, chanceOf } from './chance.ts';

interface Event {
  readonly at: number;
  /** Drawn by the source, so that other sources do not change the order. */
  readonly tie: number;
  readonly order: number;
  readonly source: string;
  task: (() => void) | undefined;
}

/** Any fixed date: documents and status contain times. */
const beginning = Date.UTC(2026, 0, 1);

const { setImmediate } = globalThis;

export interface WorldOptions {
  readonly seed: number;
  /** Called for each event and each line that somebody notes. */
  readonly trace?: (line: string) => void;
  /** Called after each event; throws when an invariant does not hold. */
  readonly judge?: () => void;
}

export class World {
  readonly seed: number;
  readonly reached = new Set<string>();
  readonly #options: WorldOptions;
  readonly #heap = new Heap();
  readonly #ties = new Map<string, Chance>();
  #now = 0;
  #order = 0;
  #events = 0;
  #failure: Error | undefined;

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.#options = options;
  }

  /** Milliseconds since the beginning. */
  get elapsed(): number {
    return this.#now;
  }

  get events(): number {
    return this.#events;
  }

  /** Must be called once for each source: each call begins the source's stream again. */
  chance(source: string): Chance {
    return chanceOf(this.seed, source);
  }

  /** A clock whose timers are events of `source`. `offset` is what it shows beyond the true time, in milliseconds. */
  clock(source: string, offset: () => number = () => 0): Clock {
    return {
      now: () => beginning + this.#now + offset(),
      after: (milliseconds, task) => this.after(milliseconds, source, task),
    };
  }

  after(milliseconds: number, source: string, task: () => void): Timer {
    const tie = this.#tieOf(source);
    this.#order += 1;
    // Never in the past, and never at a time between two milliseconds that a real timer could not distinguish.
    const at = this.#now + Math.max(0, Math.ceil(milliseconds));
    const event: Event = { at, tie, order: this.#order, source, task };
    this.#heap.push(event);
    return {
      cancel: () => {
        event.task = undefined;
      },
    };
  }

  delay(milliseconds: number, source: string): Promise<void> {
    return new Promise((resolve) => this.after(milliseconds, source, resolve));
  }

  /** Remembers that the run came to this: a transition, a reason, a message, a call at which a process died. */
  reach(what: string): void {
    this.reached.add(what);
  }

  /** Adds a line to the trace. */
  note(text: string): void {
    this.#options.trace?.(`${time(this.#now)} ${text}`);
  }

  /** Ends the run with an error after the current event. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** Runs all events until this many milliseconds since the beginning, or until `isDone`. */
  async run(until: number, isDone: () => boolean = () => false): Promise<void> {
    // What was begun before has not run yet.
    await drained();
    while (!isDone()) {
      const event = this.#heap.next(until);
      if (event === undefined) break;
      const { task } = event;
      if (task === undefined) continue;
      event.task = undefined;
      this.#now = event.at;
      this.#events += 1;
      this.note(event.source);
      task();
      await drained();
      if (this.#failure !== undefined) throw this.#failure;
      this.#options.judge?.();
    }
  }

  #tieOf(source: string): number {
    let ties = this.#ties.get(source);
    if (ties === undefined) {
      ties = this.chance(`tie of ${source}`);
      this.#ties.set(source, ties);
    }
    return ties.number();
  }
}

/** Runs all steps of promises, and what they begin. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function time(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${parts.map((part) => String(part).padStart(2, '0')).join(':')}.${String(milliseconds % 1000).padStart(3, '0')}`;
}

function isBefore(one: Event, other: Event): boolean {
  if (one.at !== other.at) return one.at < other.at;
  return one.tie === other.tie ? one.order < other.order : one.tie < other.tie;
}

class Heap {
  readonly #events: Event[] = [];

  push(event: Event): void {
    const events = this.#events;
    let index = events.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = events[parent];
      if (above === undefined || !isBefore(event, above)) break;
      events[index] = above;
      index = parent;
    }
    events[index] = event;
  }

  /** Takes the first event, unless it is later than `until`. */
  next(until: number): Event | undefined {
    const [first] = this.#events;
    if (first === undefined || first.at > until) return undefined;
    const last = this.#events.pop();
    if (last !== undefined && last !== first) this.#sink(last);
    return first;
  }

  #sink(event: Event): void {
    const events = this.#events;
    let index = 0;
    for (;;) {
      const [left, right] = [events[2 * index + 1], events[2 * index + 2]];
      if (left === undefined) break;
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, event)) break;
      events[index] = child;
      index = 2 * index + (child === right ? 2 : 1);
    }
    events[index] = event;
  }
}
