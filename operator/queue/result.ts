// What a pass over a key comes to: what the queue does with the key next.

export type Result =
  | { readonly kind: 'Done' }
  /** Fine so far; look again after this time. */
  | { readonly kind: 'After'; readonly milliseconds: number }
  /** Nothing is left but what can wait: work on it once more, in the lane `Low`. */
  | { readonly kind: 'AtLowPriority' }
  /** Later, by the backoff of the key, but not sooner than `error` asks for. */
  | { readonly kind: 'Retry'; readonly error: unknown };

export const done: Result = { kind: 'Done' };

/** Of two wishes about one key, what fulfils both. A failure counts only if it is the first: that pass was not finished. */
export function soonest(result: Result, other: Result): Result {
  if (result.kind === 'Retry' || other.kind === 'Done') return result;
  if (result.kind === 'Done' || other.kind === 'Retry') return other;
  // The pass at low priority says itself when to look again.
  if (result.kind === 'AtLowPriority' || other.kind === 'AtLowPriority') return { kind: 'AtLowPriority' };
  return result.milliseconds <= other.milliseconds ? result : other;
}
