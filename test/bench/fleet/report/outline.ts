// A line with fewer points that looks the same: of each stretch, the first point, the lowest, the highest and the last.

type Point = readonly [number, number];

const stretches = 150;
const digits = 5;

export function outlineOf(points: readonly Point[]): [number, number][] {
  const length = Math.ceil(points.length / stretches);
  const kept =
    length <= 4 ? points : Array.from({ length: stretches }, (_, index) => extremes(points, index, length)).flat();
  return kept.map(([x, y]) => [rounded(x), rounded(y)]);
}

function extremes(points: readonly Point[], index: number, length: number): readonly Point[] {
  const stretch = points.slice(index * length, (index + 1) * length);
  const [first] = stretch;
  if (first === undefined) return [];
  const lowest = stretch.reduce((least, each) => (each[1] < least[1] ? each : least), first);
  const highest = stretch.reduce((most, each) => (each[1] > most[1] ? each : most), first);
  const wanted = new Set([first, lowest, highest, stretch.at(-1)]);
  return stretch.filter((each) => wanted.has(each));
}

function rounded(value: number): number {
  return Number(value.toPrecision(digits));
}
