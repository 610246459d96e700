// Consecutive failures of an attempt that is repeated automatically. After a while they show as `Stalled` (design §12),
// which says that waiting may not help. The first success ends the streak.
import { z } from 'zod';
import { type ReasonCode, reasons } from './reasons.ts';

/** Times of the first and the last failure in milliseconds since the epoch. */
export const streak = z.object({ tries: z.int().min(1), since: z.number(), lastAt: z.number() });
export type Streak = Readonly<z.infer<typeof streak>>;

const bounds = { tries: 5, milliseconds: 60_000 } as const;

/** `spacing`, in milliseconds: a failure that follows sooner does not count as another try. */
export function withFailure(before: Streak | undefined, now: number, spacing = 0): Streak {
  if (before === undefined || now < before.lastAt) return { tries: 1, since: now, lastAt: now };
  if (now - before.lastAt < spacing) return before;
  return { ...before, tries: before.tries + 1, lastAt: now };
}

/** Only a reason that came as an answer can last. A host or a server that does not answer is waited for. */
export function isLasting(reason: ReasonCode, failures: Streak | undefined): boolean {
  if (reasons[reason].action !== 'stallLater' || failures === undefined) return false;
  return failures.tries >= bounds.tries && failures.lastAt - failures.since >= bounds.milliseconds;
}
