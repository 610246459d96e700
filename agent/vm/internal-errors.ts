// Errors of ours in the life of one VM: what they are, and when there have been too many.
import { AssertionError } from 'node:assert';
import type { Clock } from '../../runtime/clock.ts';
import type { Timeouts } from '../bounds/timeouts.ts';

const kinds = [TypeError, RangeError, ReferenceError, AssertionError] as const;

/** No answer of a host, of HCS or of a guest is one of these. */
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

  /** In a row: a VM that has gone well for `backOffReset` since the last one counts from zero. */
  get count(): number {
    return this.#count;
  }

  /** The VM rests until something else is wanted of it. */
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
