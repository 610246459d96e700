// Obstacles between VMs and their manifests, and for how long they have lasted (design §12). A verdict that was stored
// as lasting stays so under the next leader, until the first success.

import { reasons } from '../../../protocol/reasons.ts';
import { isLasting, type Streak, withFailure } from '../../../protocol/streak.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { VirtualMachine } from '../../kubernetes/objects.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import type { Verdict } from './status.ts';

/** Passes within this time rely on the same answer of the API server. */
const spacingMilliseconds = 5_000;

export class Obstacles {
  readonly #clock: Clock;
  /** By uid. */
  readonly #streaks = new Map<string, Streak>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Call for each try; undefined is a success. */
  judged(object: VirtualMachine, verdict: Verdict | undefined): Verdict | undefined {
    const { uid } = object.metadata;
    if (verdict === undefined || reasons[verdict.reason].action !== 'stallLater') {
      this.#streaks.delete(uid);
      return verdict;
    }
    if (verdict.isTransient !== true) {
      this.#streaks.set(uid, withFailure(this.#streaks.get(uid), this.#clock.now(), spacingMilliseconds));
    }
    const stored = conditionOf(object.status.conditions, 'Stalled');
    const wasLasting = stored?.status === 'True' && stored.reason === verdict.reason;
    return { ...verdict, isLasting: wasLasting || isLasting(verdict.reason, this.#streaks.get(uid)) };
  }

  forget(uid: string): void {
    this.#streaks.delete(uid);
  }
}
