// Remembers since when something has been waiting to be written, so that what is over within 2 s is never written.
import type { Clock } from '../../protocol/clock.ts';

export const lastingMilliseconds = 2_000;

export class Pacing {
  readonly #clock: Clock;
  readonly #since = new Map<string, { readonly what: string; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until `what` has lasted long enough; it begins anew when another thing was waiting. */
  remaining(uid: string, what: string): number {
    const now = this.#clock.now();
    const waiting = this.#since.get(uid);
    if (waiting?.what !== what || waiting.at > now) {
      this.#since.set(uid, { what, at: now });
      return lastingMilliseconds;
    }
    return Math.max(0, waiting.at + lastingMilliseconds - now);
  }

  forget(uid: string): void {
    this.#since.delete(uid);
  }
}
