// Failed tries in a row of what is tried on by itself. Whoever waits for it learns after a while that waiting may not help:
// `Stalled` (design §12). The first success ends the streak.
import type { ReasonCode } from './reasons.ts';
import { reasons } from './reasons.ts';

export interface Streak {
  readonly tries: number;
  /** Of the first, in milliseconds since the epoch. */
  readonly since: number;
  readonly lastAt: number;
}

const bounds = { tries: 5, milliseconds: 60_000 } as const;

/** `spacing`, in milliseconds: tries that follow sooner are one try. */
export function withFailure(streak: Streak | undefined, now: number, spacing = 0): Streak {
  if (streak === undefined || now < streak.lastAt) return { tries: 1, since: now, lastAt: now };
  if (now - streak.lastAt < spacing) return streak;
  return { ...streak, tries: streak.tries + 1, lastAt: now };
}

/** Only a reason of which an answer came: a host or a server that does not answer is waited for. */
export function isLasting(reason: ReasonCode, streak: Streak | undefined): boolean {
  if (reasons[reason].action !== 'stallLater' || streak === undefined) return false;
  return streak.tries >= bounds.tries && streak.lastAt - streak.since >= bounds.milliseconds;
}
