// How many of some spans of time there are at once.
import type { Span } from './agents/messages.ts';

export interface Overlap {
  readonly most: number;
  /** The number before and after each change, over seconds since `begun`. */
  readonly points: [number, number][];
}

export function overlapOf(spans: readonly Pick<Span, 'from' | 'to'>[], begun: number): Overlap {
  const changes = spans.flatMap(({ from, to }) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ]);
  // Of two changes at the same time, the end comes first.
  changes.sort((one, other) => one.at - other.at || one.by - other.by);
  let [now, most] = [0, 0];
  const points = changes.flatMap(({ at, by }): [number, number][] => {
    const [seconds, before] = [(at - begun) / 1000, now];
    now += by;
    most = Math.max(most, now);
    return [
      [seconds, before],
      [seconds, now],
    ];
  });
  return { most, points };
}
