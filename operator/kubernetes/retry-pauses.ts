// The pause after a list or watch failed, with the numbers of client-go's reflector: longer with each failure, and
// short again after success.
import type { Clock, Random } from '../../runtime/clock.ts';
import type { ApiError } from './api-error.ts';

const pauses = {
  firstMilliseconds: 800,
  capMilliseconds: 30_000,
  /** A lower cap while nobody answers: retries cost nobody anything, and news waits for them. */
  awayCapMilliseconds: 10_000,
} as const;
/** A list or watch that lasted longer than this counts as a success. */
const healthyMilliseconds = 120_000;

export class RetryPauses {
  readonly #clock: Clock;
  readonly #random: Random;
  #failures = 0;
  /** The last attempt got no answer. */
  #isAway = false;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Resets after a success, or sets the number of failures so far. */
  reset(failures = 0): void {
    this.#failures = failures;
  }

  /** The pause after the failure of an attempt that began at `startedAt`. */
  after({ code, retryAfterMilliseconds = 0 }: ApiError, startedAt: number): number {
    const isAway = code === 0;
    const isBack = this.#isAway && !isAway;
    if (isBack || this.#clock.now() - startedAt > healthyMilliseconds) this.#failures = 0;
    this.#isAway = isAway;
    this.#failures += 1;
    const cap = isAway ? pauses.awayCapMilliseconds : pauses.capMilliseconds;
    const ceiling = Math.min(cap, pauses.firstMilliseconds * 2 ** (this.#failures - 1));
    return Math.max(retryAfterMilliseconds, ceiling / 2 + (this.#random() * ceiling) / 2);
  }
}
