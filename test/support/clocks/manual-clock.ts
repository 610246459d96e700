// A clock that a test advances: due tasks run in order, each at its own time.
import type { Clock, Timer } from '../../../runtime/clock.ts';

interface Task {
  readonly due: number;
  readonly order: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z');
  #order = 0;
  #tasks: Task[] = [];

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, run: () => void): Timer {
    this.#order += 1;
    const task = { due: this.#now + Math.max(0, milliseconds), order: this.#order, run };
    this.#tasks.push(task);
    return {
      cancel: () => {
        this.#tasks = this.#tasks.filter((each) => each !== task);
      },
    };
  }

  /** Milliseconds until the next task is due; undefined when none is waiting. */
  get untilNext(): number | undefined {
    return this.#tasks.length === 0 ? undefined : Math.min(...this.#tasks.map(({ due }) => due)) - this.#now;
  }

  /** Runs the due tasks, and lets promises settle after each. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settle();
    for (;;) {
      const next = this.#tasks.filter(({ due }) => due <= end).sort((a, b) => a.due - b.due || a.order - b.order)[0];
      if (next === undefined) break;
      this.#tasks = this.#tasks.filter((each) => each !== next);
      this.#now = Math.max(this.#now, next.due);
      next.run();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets everything run that waits only for promises. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
