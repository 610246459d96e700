// Looks at an object again and again instead of watching it: sooner after a problem, and never twice at a time.
import type { Clock, Random, Timer } from '../../runtime/clock.ts';

export interface RecurringLookOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Pauses between looks, jittered by half. */
  readonly milliseconds: { readonly check: number; readonly retry: number };
  /** Returns what is wrong, or undefined. A thrown error is a problem, too. */
  readonly look: () => Promise<string | undefined>;
  readonly failed: (problem: string) => void;
}

export class RecurringLook {
  readonly #options: RecurringLookOptions;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(options: RecurringLookOptions) {
    this.#options = options;
  }

  /** Starts, or looks at once; if a look is under way, again after it. */
  now(): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    const before = this.#looking ?? Promise.resolve();
    const looking: Promise<void> = before.then(() => this.#look()).then((pause) => this.#rest(looking, pause));
    this.#looking = looking;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  /** Returns the milliseconds until the next look. */
  async #look(): Promise<number> {
    const { failed, look, milliseconds } = this.#options;
    const problem = this.#stopped ? undefined : await look().catch((error: unknown) => String(error));
    if (problem === undefined) return milliseconds.check;
    failed(problem);
    return milliseconds.retry;
  }

  #rest(looked: Promise<void>, pause: number): void {
    if (this.#stopped || this.#looking !== looked) return;
    const { clock, random } = this.#options;
    this.#timer = clock.after(pause * (0.5 + random()), () => this.now());
  }
}
