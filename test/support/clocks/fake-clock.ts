// A clock whose time advances only on request.
import type { Clock, Timer } from '../../../runtime/clock.ts';

export class FakeClock implements Clock {
  #now = 0;
  readonly #tasks = new Set<{ readonly due: number; readonly run: () => void }>();

  get pending(): number {
    return this.#tasks.size;
  }

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, run: () => void): Timer {
    const task = { due: this.#now + milliseconds, run };
    this.#tasks.add(task);
    return { cancel: () => this.#tasks.delete(task) };
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds;
    for (const task of [...this.#tasks].filter(({ due }) => due <= this.#now)) {
      this.#tasks.delete(task);
      task.run();
    }
  }
}
