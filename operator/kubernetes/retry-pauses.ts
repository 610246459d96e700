// How long to wait after a list or watch failed, with the numbers of client-go's reflector: longer with each failure, and from
// the beginning once something worked.
import type { Clock, Random } from '../../runtime/clock.ts';
import type { ApiError } from './api-error.ts';

const pauses = {
  firstMilliseconds: 800,
  capMilliseconds: 30_000,
  /** While nobody answers: it costs nobody anything, and what is new waits for it. */
  awayCapMilliseconds: 10_000,
} as const;
/** What lasted for longer than this has worked. */
const healthyMilliseconds = 120_000;

export class RetryPauses {
  readonly #clock: Clock;
  readonly #random: Random;
  #failures = 0;
  /** Nobody answered the last time. */
  #isAway = false;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** It works, or goes on after this many failures. */
  reset(failures = 0): void {
    this.#failures = failures;
  }

  /** Of something that began at `startedAt` and has failed. */
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
