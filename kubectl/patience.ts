// How long an operator that restarts is waited for, and how often it is asked meanwhile.
import { type Clock, delay, type Random } from '../runtime/clock.ts';
import { ApiFailure } from './api.ts';

const milliseconds = { first: 250, last: 4_000 } as const;

export interface PatienceOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Given up after so long without success. */
  readonly limitMilliseconds: number;
  /** Told once for each time of trouble. */
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

  /** Resolves when it is time for another attempt; rejects with what does not pass, or lasts too long. */
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
