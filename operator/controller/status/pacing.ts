// Remembers since when a state has been waiting to be written, so that a brief state is never written.
import type { Clock } from '../../../runtime/clock.ts';

export class Pacing {
  readonly #clock: Clock;
  readonly #since = new Map<string, { readonly what: string; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until `what` has lasted for `milliseconds`. Restarts when `what` differs from the last call. */
  remaining(uid: string, what: string, milliseconds: number): number {
    const now = this.#clock.now();
    const waiting = this.#since.get(uid);
    if (waiting?.what !== what || waiting.at > now) {
      this.#since.set(uid, { what, at: now });
      return milliseconds;
    }
    return Math.max(0, waiting.at + milliseconds - now);
  }

  forget(uid: string): void {
    this.#since.delete(uid);
  }
}
