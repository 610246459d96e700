// Whether a figure of one commit is worse than that of another, from alternating runs on the same machine.
import type { Figure } from './figures.ts';

export interface Comparison {
  readonly bench: string;
  readonly name: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** More than 0: worse by this share. */
  readonly loss: number;
  /** How far the runs of one commit are apart from each other: the larger of both. */
  readonly noise: number;
  readonly isWorse: boolean;
}

/** A loss up to this share is allowed, in addition to the noise. */
export const allowedLoss = 0.15;

/** `before` and `after`: the figures of each run, in the order of the runs. */
export function compare(
  before: readonly (readonly Figure[])[],
  after: readonly (readonly Figure[])[],
): readonly Comparison[] {
  const figures = after[0] ?? [];
  return figures.flatMap((figure) => {
    const [olds, news] = [valuesOf(figure, before), valuesOf(figure, after)];
    // A new figure has nothing to be compared with.
    return olds.length === 0 ? [] : [judge(figure, olds, news)];
  });
}

function judge({ bench, better, name, unit }: Figure, olds: readonly number[], news: readonly number[]): Comparison {
  const ratios = news.slice(0, olds.length).map((value, index) => value / (olds[index] ?? Number.NaN));
  const ratio = median(ratios);
  const loss = (better === 'less' ? ratio : 1 / ratio) - 1;
  const noise = Math.max(noiseOf(olds), noiseOf(news));
  return {
    ...{ bench, name, unit, loss, noise },
    before: median(olds),
    after: median(news),
    isWorse: loss > allowedLoss + noise,
  };
}

function noiseOf(values: readonly number[]): number {
  return median(values.slice(1).map((value, index) => Math.abs(value / (values[index] ?? Number.NaN) - 1)));
}

function valuesOf({ bench, name }: Figure, runs: readonly (readonly Figure[])[]): readonly number[] {
  return runs.flatMap((run) =>
    run.filter((each) => each.bench === bench && each.name === name).map(({ value }) => value),
  );
}

/** 0 for no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  return Number.isInteger(middle)
    ? ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
    : (sorted[Math.floor(middle)] ?? 0);
}
