// Of a number of values, the one below which a share of them lies.

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Points for a plot, from the least value to the greatest. */
export function percentilePoints(values: readonly number[]): [number, number][] {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted.map((value, index) => [(100 * (index + 1)) / sorted.length, value]);
}
