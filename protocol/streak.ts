// Failed tries in a row of what is tried on by itself. Whoever waits for it learns after a while that waiting may not help:
// `Stalled` (design §12). The first success ends the streak.
import { z } from 'zod';
import { type ReasonCode, reasons } from './reasons.ts';

/** Times of the first and the last failure in milliseconds since the epoch. */
export const streak = z.object({ tries: z.int().min(1), since: z.number(), lastAt: z.number() });
export type Streak = Readonly<z.infer<typeof streak>>;

const bounds = { tries: 5, milliseconds: 60_000 } as const;

/** `spacing`, in milliseconds: tries that follow sooner are one try. */
export function withFailure(before: Streak | undefined, now: number, spacing = 0): Streak {
  if (before === undefined || now < before.lastAt) return { tries: 1, since: now, lastAt: now };
  if (now - before.lastAt < spacing) return before;
  return { ...before, tries: before.tries + 1, lastAt: now };
}

/** Only a reason of which an answer came: a host or a server that does not answer is waited for. */
export function isLasting(reason: ReasonCode, failures: Streak | undefined): boolean {
  if (reasons[reason].action !== 'stallLater' || failures === undefined) return false;
  return failures.tries >= bounds.tries && failures.lastAt - failures.since >= bounds.milliseconds;
}
