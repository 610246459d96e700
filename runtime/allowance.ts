// A token bucket: a steady rate with a bounded burst.
import type { Clock } from './clock.ts';

export class Allowance {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #perSecond: number;
  readonly #burst: number;
  #left: number;
  #at: number;

  constructor(clock: Pick<Clock, 'now'>, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#left = burst;
    this.#at = clock.now();
  }

  /** Takes `count` tokens. Returns the milliseconds after which more may be taken. */
  take(count = 1): number {
    this.#earn();
    this.#left -= count;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1000) / this.#perSecond);
  }

  /** Takes `count` tokens only if there are that many. */
  tryTake(count = 1): boolean {
    this.#earn();
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /** True when nothing was taken lately. */
  get isFull(): boolean {
    this.#earn();
    return this.#left >= this.#burst;
  }

  #earn(): void {
    const now = this.#clock.now();
    // A clock that was set back earns nothing.
    const earned = (Math.max(0, now - this.#at) * this.#perSecond) / 1000;
    this.#at = now;
    this.#left = Math.min(this.#burst, this.#left + earned);
  }
}
