// How soon a guest's next connection is accepted after one that ended. A guest that reconnects for a good reason is
// served almost at once. A guest that only connects and hangs up is served less and less often, because each connection
// costs the agent as much as reading a hundred lines.
import { type Clock, delay } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';

const { redialPause, redialPauseMaximum, redialReset } = fixedTimes.run;

export class RedialPauses {
  readonly #clock: Clock;
  #connectedAt = 0;
  #next: number = redialPause;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  connected(): void {
    this.#connectedAt = this.#clock.now();
  }

  /** Call after the end of a connection. */
  async wait(signal: AbortSignal): Promise<void> {
    const lasted = this.#clock.now() - this.#connectedAt;
    const pause = lasted >= redialReset ? redialPause : this.#next;
    this.#next = Math.min(2 * pause, redialPauseMaximum);
    await delay(this.#clock, pause, signal);
  }
}
