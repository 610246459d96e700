// Measures durations regardless of steps of the wall clock. It advances with the wall clock, but no step and no pause
// of the process counts for more than one look at the clock. So an NTP correction makes nothing look lost.
import type { Clock, Timer } from '../../../runtime/clock.ts';

const lookMilliseconds = 5_000;
/** On a busy computer a look may be late. */
const longestMilliseconds = 2 * lookMilliseconds;

export class SteadyClock implements Clock {
  readonly #clock: Clock;
  #now: number;
  #seen: number;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#now = clock.now();
    this.#seen = this.#now;
    this.#look();
  }

  now(): number {
    const seen = this.#clock.now();
    this.#now += Math.min(longestMilliseconds, Math.max(0, seen - this.#seen));
    this.#seen = seen;
    return this.#now;
  }

  after(milliseconds: number, task: () => void): Timer {
    return this.#clock.after(milliseconds, task);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #look(): void {
    this.now();
    if (!this.#stopped) this.#timer = this.#clock.after(lookMilliseconds, () => this.#look());
  }
}
