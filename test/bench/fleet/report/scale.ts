// From values to places on an axis, and the values that are written beside it.

export interface Scale {
  /** The share of the axis before `value`, from 0 to 1. */
  at(value: number): number;
  readonly ticks: readonly number[];
}

const mostTicks = 6;

/** Begins at 0, and ends at a round value. */
export function linearScale(values: readonly number[]): Scale {
  const highest = Math.max(...values, 0) || 1;
  const step = roundStep(highest / mostTicks);
  const count = Math.ceil(highest / step - 1e-9);
  const end = count * step;
  return { at: (value) => value / end, ticks: Array.from({ length: count + 1 }, (_, index) => rounded(index * step)) };
}

/** Values have to be above 0. Begins and ends at a 1, 2 or 5 with zeros. */
export function logScale(values: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0);
  const [least, most] = [Math.min(...positive, 1e9), Math.max(...positive, 1e-9)];
  const ticks = decades(Math.floor(Math.log10(Math.min(least, most))), Math.ceil(Math.log10(most)));
  const first = ticks.findLast((tick) => tick <= least * 1.000001) ?? least;
  const last = ticks.find((tick) => tick >= most * 0.999999 && tick > first) ?? first * 10;
  const span = Math.log10(last / first);
  return {
    at: (value) => Math.max(0, Math.log10(Math.max(value, first) / first) / span),
    ticks: ticks.filter((tick) => tick >= first && tick <= last),
  };
}

/** 1, 2 or 5 with zeros, and at least `least`. */
function roundStep(least: number): number {
  const decade = 10 ** Math.floor(Math.log10(least));
  return rounded(([1, 2, 5].find((digit) => digit * decade >= least * 0.999999) ?? 10) * decade);
}

function decades(from: number, to: number): readonly number[] {
  const exponents = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  return exponents.flatMap((exponent) => [1, 2, 5].map((digit) => rounded(digit * 10 ** exponent)));
}

function rounded(value: number): number {
  return Number(value.toPrecision(12));
}
