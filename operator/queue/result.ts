// The result of a pass over a key: what the queue does with the key next.

export type Result =
  | { readonly kind: 'Done' }
  /** Successful so far. Look again after this time. */
  | { readonly kind: 'After'; readonly milliseconds: number }
  /** Only low-priority work is left: work on the key once more, in the lane `Low`. */
  | { readonly kind: 'AtLowPriority' }
  /** Later, after the key's backoff, but not sooner than `error` asks for. */
  | { readonly kind: 'Retry'; readonly error: unknown };

export const done: Result = { kind: 'Done' };

/** Combines two results for one key. A failure counts only as the first result, because that pass did not finish. */
export function soonest(result: Result, other: Result): Result {
  if (result.kind === 'Retry' || other.kind === 'Done') return result;
  if (result.kind === 'Done' || other.kind === 'Retry') return other;
  // The pass at low priority decides when to look again.
  if (result.kind === 'AtLowPriority' || other.kind === 'AtLowPriority') return { kind: 'AtLowPriority' };
  return result.milliseconds <= other.milliseconds ? result : other;
}
