// How far the changes of one run of a VM are: what was tried in vain, and what its guest has left unanswered.
import type { Streak } from '../../../protocol/streak.ts';
import type { Trouble } from '../conditions.ts';
import { Leaving } from '../ending/leaving.ts';

export interface LiveChange {
  /** Why the last attempt did not make all of them. */
  readonly trouble?: Trouble;
  /** Not tried again before this time (ms since the epoch). */
  readonly notBefore: number;
  /** A change has exceeded its bound and is still under way: none is begun before it has come back. */
  readonly isOverdue: boolean;
  /** Attempts that failed in a row. */
  readonly failures: number;
  /** Those of them that were answered. */
  readonly streak?: Streak | undefined;
}

export const noChange: LiveChange = { notBefore: 0, isOverdue: false, failures: 0 };

export class LiveChanges {
  /** Whether the VM is to be stopped: a guest that has not answered is not waited for any longer. */
  readonly leaving = new Leaving();
  /** Mount paths of this run at which a mount did not succeed. */
  readonly mountsFailed = new Set<string>();
  /** Changes that the guest of this run has left unanswered. */
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

  /** What the changes waited for is there. */
  tryAtOnce(): void {
    this.#latest = { ...this.#latest, notBefore: 0 };
  }

  /** Other changes are wanted: what failed before says nothing of them. */
  beginAnew(): void {
    this.#latest = { ...this.#latest, notBefore: 0, failures: 0, streak: undefined };
  }
}
