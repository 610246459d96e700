// So many things a second, and so many at once: the token bucket.
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

  /** Takes one, or so many; answers after how many milliseconds more may be taken. */
  take(count = 1): number {
    this.#earn();
    this.#left -= count;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1000) / this.#perSecond);
  }

  /** Takes one, or so many, only if they are there. */
  tryTake(count = 1): boolean {
    this.#earn();
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /** Nothing was taken lately. */
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
