// Chooses the points of death for a run: a seeded sample that covers every kind of point, or all of them
// (LCOW_CRASH_POINTS=all, as in `npm run test:crash-points`). LCOW_CRASH_SEED repeats a sample.

export const takesAll = process.env['LCOW_CRASH_POINTS'] === 'all';
export const crashSeed = Number(process.env['LCOW_CRASH_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Numbers below 1, determined by the seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` of the points, in their original order. */
export function sampleOf<T>(points: readonly T[], count: number, random: () => number): readonly T[] {
  const left = points.map((_, index) => index);
  const taken = Array.from({ length: Math.min(count, points.length) }, () =>
    left.splice(Math.floor(random() * left.length), 1),
  ).flat();
  return taken.sort((one, other) => one - other).flatMap((index) => points.slice(index, index + 1));
}

/** One point of each kind, chosen among all of that kind. */
export function oneOfEach<T>(points: readonly T[], kindOf: (point: T) => string, random: () => number): readonly T[] {
  return [...Map.groupBy(points, kindOf).values()].flatMap((same) => sampleOf(same, 1, random));
}
