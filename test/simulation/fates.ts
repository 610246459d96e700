// Deaths of processes in the middle of a call. A crash at a time of the plan (mishaps.ts) nearly always meets a process
// that waits, but a program has to survive its death before and after each of its effects.
import type { Chance } from './chance.ts';
import type { World } from './world.ts';

/** A call before it takes effect, or after it took effect and before the process learns of it. */
export type Moment = 'before' | 'after';

/** What a process asks at each of its calls. */
export interface Fate {
  at(operation: string): Moment | undefined;
  /** Ends the process. */
  strike(): void;
}

/** Divided by the number of the call: a call that is made often is met little more often than a rare one. */
const share = 0.03;

export class Fates {
  readonly #world: World;
  readonly #until: number;
  readonly #calls = new Map<string, { readonly chance: Chance; count: number }>();

  /** Nobody dies in a call after `until`, in simulated milliseconds. */
  constructor(world: World, until: number) {
    this.#world = world;
    this.#until = until;
  }

  fate(strike: () => void): Fate {
    return { at: (operation) => this.#at(operation), strike };
  }

  #at(operation: string): Moment | undefined {
    if (this.#world.elapsed >= this.#until) return undefined;
    const known = this.#calls.get(operation);
    const calls = known ?? { chance: this.#world.chance(`death in ${operation}`), count: 0 };
    if (known === undefined) this.#calls.set(operation, calls);
    calls.count += 1;
    if (!calls.chance.happens(share / calls.count)) return undefined;
    return calls.chance.happens(0.5) ? 'before' : 'after';
  }
}
