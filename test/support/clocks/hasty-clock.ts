// A clock for code that waits between requests to a real server: a wait is over at once, and its time has passed.
import type { Clock, Timer } from '../../../runtime/clock.ts';

export class HastyClock implements Clock {
  #now: number;

  constructor(start = Date.parse('2026-01-01T12:00:00Z')) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, task: () => void): Timer {
    const handle = setImmediate(() => {
      this.#now += milliseconds;
      task();
    });
    return { cancel: () => clearImmediate(handle) };
  }
}
