// A cache of texts that are needed briefly, by digest: bounded in characters, and dropped after a minute.
import type { Clock, Timer } from '../../../runtime/clock.ts';

const keptMilliseconds = 60_000;
const charsMaximum = 8 << 20;

interface Text {
  readonly text: string;
  readonly until: number;
}

export class BriefTexts {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #texts = new Map<string, Text>();
  #chars = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Characters in the cache. */
  get chars(): number {
    return this.#chars;
  }

  get(sha256: string): string | undefined {
    return this.#texts.get(sha256)?.text;
  }

  set(sha256: string, text: string): void {
    this.#drop(sha256);
    this.#texts.set(sha256, { text, until: this.#clock.now() + keptMilliseconds });
    this.#chars += text.length;
    for (const oldest of this.#texts.keys()) {
      if (this.#chars <= charsMaximum) break;
      this.#drop(oldest);
    }
    this.#timer ??= this.#clock.after(keptMilliseconds, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const [sha256, { until }] of this.#texts) {
      if (until <= now) this.#drop(sha256);
    }
    if (this.#texts.size > 0) this.#timer = this.#clock.after(keptMilliseconds, () => this.#sweep());
  }

  #drop(sha256: string): void {
    this.#chars -= this.#texts.get(sha256)?.text.length ?? 0;
    this.#texts.delete(sha256);
  }
}
