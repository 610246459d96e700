// How many spans there are at once.
import { expect, it } from 'vitest';
import { overlapOf } from './overlap.ts';

it('counts a span until its end, and not one that begins there', () => {
  const spans = [
    { from: 2_000, to: 4_000 },
    { from: 1_000, to: 2_000 },
    { from: 3_000, to: 5_000 },
  ];
  expect(overlapOf(spans, 1_000)).toEqual({
    most: 2,
    points: [
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 0],
      [1, 0],
      [1, 1],
      [2, 1],
      [2, 2],
      [3, 2],
      [3, 1],
      [4, 1],
      [4, 0],
    ],
  });
  expect(overlapOf([], 0)).toEqual({ most: 0, points: [] });
});
