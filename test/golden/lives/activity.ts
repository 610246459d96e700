// What happens in a life that is played: the steps of the host in order, and whether anything happens just now.
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import type { HostStep } from './life.ts';

/** Turns of the event loop in which a life may go on without time passing: no life comes near it. */
const maxTurns = 50_000;
/** Turns of the event loop without anything happening, after which nothing more will happen by itself. */
const quietTurns = 12;

export class Activity {
  readonly clock = new ManualClock();
  readonly steps: HostStep[] = [];
  #count = 0;

  /** The step may get its result later. */
  record<S extends HostStep>(step: S): S {
    this.steps.push(step);
    this.noted();
    return step;
  }

  noted(): void {
    this.#count += 1;
  }

  /** Until all parties wait for each other, or for time to pass. Rejects when they never do. */
  async settle(): Promise<void> {
    for (let [quiet, turns] = [0, 0]; quiet < quietTurns; turns += 1) {
      if (turns > maxTurns) throw new Error('the life does not come to rest');
      const before = this.#count;
      await new Promise<void>((resolve) => setImmediate(resolve));
      quiet = this.#count === before ? quiet + 1 : 0;
    }
  }

  /** Lets time pass until it holds, for at most so many milliseconds; false when it does not hold then. */
  async until(holds: () => boolean, milliseconds: number): Promise<boolean> {
    const end = this.clock.now() + milliseconds;
    for (;;) {
      await this.settle();
      if (holds()) return true;
      const next = this.clock.untilNext;
      if (next === undefined || this.clock.now() + next > end) return false;
      await this.clock.advance(Math.max(0, next));
    }
  }
}
