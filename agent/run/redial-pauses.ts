// How soon a guest's next connection is taken after one that has ended. A guest that dials anew for a good reason is served
// almost at once; one that does nothing but dial and hang up is served less and less often, since each connection costs
// the agent as much as reading a hundred lines.
import { type Clock, delay } from '../../runtime/clock.ts';

const shortest = 100;
const longest = 5_000;
/** A connection that lasted so long is none of those. */
const lasting = 10_000;

export class RedialPauses {
  readonly #clock: Clock;
  #connectedAt = 0;
  #next = shortest;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  connected(): void {
    this.#connectedAt = this.#clock.now();
  }

  /** After the end of a connection. */
  async wait(signal: AbortSignal): Promise<void> {
    const lasted = this.#clock.now() - this.#connectedAt;
    const pause = lasted >= lasting ? shortest : this.#next;
    this.#next = Math.min(2 * pause, longest);
    await delay(this.#clock, pause, signal);
  }
}
