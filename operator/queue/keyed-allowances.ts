// A token bucket for each key, bounded in number. Beyond the bound the least recently used bucket is forgotten, as if
// it were full.
import { Allowance } from '../../runtime/allowance.ts';
import type { Clock } from '../../runtime/clock.ts';

export interface AllowanceRate {
  readonly perSecond: number;
  readonly burst: number;
}

export class KeyedAllowances {
  readonly #clock: Clock;
  readonly #rate: AllowanceRate;
  readonly #maximum: number;
  readonly #allowances = new Map<string, Allowance>();

  constructor(clock: Clock, rate: AllowanceRate, maximum: number) {
    this.#clock = clock;
    this.#rate = rate;
    this.#maximum = maximum;
  }

  get size(): number {
    return this.#allowances.size;
  }

  /** Takes one token if there is one. */
  tryTake(key: string): boolean {
    const { perSecond, burst } = this.#rate;
    const allowance = this.#allowances.get(key) ?? new Allowance(this.#clock, perSecond, burst);
    this.#allowances.delete(key);
    this.#allowances.set(key, allowance);
    for (const oldest of this.#allowances.keys()) {
      if (this.#allowances.size <= this.#maximum) break;
      this.#allowances.delete(oldest);
    }
    return allowance.tryTake();
  }

  forget(key: string): void {
    this.#allowances.delete(key);
  }
}
