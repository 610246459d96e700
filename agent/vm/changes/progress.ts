// The progress of live changes in one run of a VM: failed attempts, and requests that its guest has not answered.
import type { Streak } from '../../../protocol/streak.ts';
import type { Trouble } from '../conditions.ts';
import { Leaving } from '../ending/leaving.ts';

export interface LiveChange {
  /** Why the last attempt did not make all changes. */
  readonly trouble?: Trouble;
  /** The next attempt is made at this time at the earliest (ms since the epoch). */
  readonly notBefore: number;
  /** A change has exceeded its bound and is still under way. No other change begins before it has returned. */
  readonly isOverdue: boolean;
  /** The number of attempts that failed in a row. */
  readonly failures: number;
  /** The failed attempts that were answered. */
  readonly streak?: Streak | undefined;
}

export const noChange: LiveChange = { notBefore: 0, isOverdue: false, failures: 0 };

export class LiveChanges {
  /** Ends the waits for the guest's answers when the VM is to be stopped. */
  readonly leaving = new Leaving();
  /** The paths at which a mount failed during this run. */
  readonly mountsFailed = new Set<string>();
  /** The number of changes that the guest has not answered during this run. */
  unanswered = 0;
  readonly #changed: () => void;
  #latest: LiveChange = noChange;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get latest(): LiveChange {
    return this.#latest;
  }

  note(change: LiveChange): void {
    this.#latest = change;
    this.#changed();
  }

  /** Call this when the thing that the changes waited for is available. */
  tryAtOnce(): void {
    this.#latest = { ...this.#latest, notBefore: 0 };
  }

  /** Call this when other changes are wanted: earlier failures say nothing about them. */
  beginAnew(): void {
    this.#latest = { ...this.#latest, notBefore: 0, failures: 0, streak: undefined };
  }
}
