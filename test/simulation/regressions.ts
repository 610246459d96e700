// Seeds that found a fault of the product. They are run with every change.

export interface Regression {
  readonly seed: number;
  /** What was wrong. */
  readonly found: string;
}

export const regressions: readonly Regression[] = [
  { seed: 7, found: 'an agent without a VM did not notice that the compute service had gone, and started no VM again' },
  { seed: 11, found: 'a VM whose hosts had all lacked resources for it was not tried there again' },
  { seed: 78, found: 'a VM that was paused before its first status waited for a lost host after it was resumed' },
  { seed: 8018, found: 'a VM that came up after all was taken off a host that had lacked resources for it' },
];
