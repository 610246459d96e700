// Internal errors of the agent in the life of one VM: which errors count, and when there have been too many.
import { AssertionError } from 'node:assert';
import type { Clock } from '../../runtime/clock.ts';
import type { Timeouts } from '../bounds/timeouts.ts';

const kinds = [TypeError, RangeError, ReferenceError, AssertionError] as const;

/** Whether the error is a mistake in the agent. No answer of a host, HCS or guest causes such an error. */
export function isOwnFault(error: unknown): boolean {
  return kinds.some((kind) => error instanceof kind);
}

const most = 5;

export class InternalErrors {
  readonly #clock: Clock;
  readonly #timeouts: Timeouts;
  #count = 0;
  #lastAt = 0;

  constructor({ clock, timeouts }: { readonly clock: Clock; readonly timeouts: Timeouts }) {
    this.#clock = clock;
    this.#timeouts = timeouts;
  }

  /** The number of errors in a row. After `backOffReset` without an error, the count begins at zero. */
  get count(): number {
    return this.#count;
  }

  /** Then the agent leaves the VM alone until something else is wanted. */
  get isTooMany(): boolean {
    return this.#count >= most;
  }

  note(): void {
    const now = this.#clock.now();
    this.#count = now - this.#lastAt >= this.#timeouts.backOffReset ? 1 : this.#count + 1;
    this.#lastAt = now;
  }

  forget(): void {
    this.#count = 0;
  }
}
