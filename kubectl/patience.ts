// How long a command waits for an operator that restarts, and how often it asks.
import { type Clock, delay, type Random } from '../runtime/clock.ts';
import { ApiFailure } from './api.ts';

const milliseconds = { first: 250, last: 4_000 } as const;

export interface PatienceOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Gives up after this long without success. */
  readonly limitMilliseconds: number;
  /** Called once for each period of trouble. */
  readonly onTrouble: (message: string) => void;
}

export class Patience {
  readonly #options: PatienceOptions;
  #since: number | undefined;
  #attempts = 0;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  succeeded(): void {
    this.#since = undefined;
    this.#attempts = 0;
  }

  /** Resolves when it is time for another attempt. Rejects with an error that does not pass or that lasts too long. */
  async wait(error: unknown): Promise<void> {
    const { clock, limitMilliseconds, onTrouble, random } = this.#options;
    if (!(error instanceof ApiFailure) || !error.isPassing) throw error;
    if (this.#since === undefined) onTrouble(error.message);
    this.#since ??= clock.now();
    if (clock.now() - this.#since > limitMilliseconds) throw error;
    const ceiling = Math.min(milliseconds.last, milliseconds.first * 2 ** this.#attempts);
    this.#attempts += 1;
    await delay(clock, ceiling * (0.5 + random() / 2));
  }
}
