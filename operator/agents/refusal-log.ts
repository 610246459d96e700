// Bounds the log lines about refused agents, because strangers decide how often an agent is refused.
import type { Logger } from 'pino';
import type { Clock } from '../../runtime/clock.ts';

const bounds = { lines: 10, milliseconds: 10_000 } as const;

export interface RefusedPeer {
  readonly peer: string;
  readonly error: string;
}

export class RefusalLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #lines = 0;
  #omitted = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  refused(refusal: RefusedPeer): void {
    if (this.#lines === 0) this.#clock.after(bounds.milliseconds, () => this.#startOver());
    if (this.#lines >= bounds.lines) {
      this.#omitted += 1;
      return;
    }
    this.#lines += 1;
    this.#logger.warn(refusal, 'an agent was refused');
  }

  #startOver(): void {
    if (this.#omitted > 0) this.#logger.warn({ count: this.#omitted }, 'more agents were refused');
    this.#lines = 0;
    this.#omitted = 0;
  }
}
