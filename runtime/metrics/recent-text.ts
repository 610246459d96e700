// Writing all metrics takes many milliseconds, so requests within a second share one text.
import type { Clock } from '../clock.ts';

export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

const recentMilliseconds = 1_000;

export class RecentText {
  readonly #write: () => Promise<MetricsText>;
  readonly #clock: Clock;
  #recent: Promise<MetricsText> | undefined;

  constructor(write: () => Promise<MetricsText>, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** Rejects as the writing does. */
  read(): Promise<MetricsText> {
    if (this.#recent === undefined) {
      this.#recent = this.#write();
      this.#clock.after(recentMilliseconds, () => {
        this.#recent = undefined;
      });
    }
    return this.#recent;
  }
}
