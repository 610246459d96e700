// Amounts that are a number or a percentage of the replicas. Rounding leaves at least one where nothing would never end
// a rollout or a drain: 10 % of one VM is that VM, or none, and neither is meant.

type Amount = number | string;

function shareOf(amount: Amount, replicas: number): number {
  return typeof amount === 'number' ? amount : (Number(amount.slice(0, -1)) * replicas) / 100;
}

/** Rounded down, at least 1: how many VMs may be away. */
export function budgetOf(amount: Amount, replicas: number): number {
  return Math.max(1, Math.floor(shareOf(amount, replicas)));
}

/** Rounded up, at least 1. */
export function parallelOf(amount: Amount, replicas: number): number {
  return Math.max(1, Math.ceil(shareOf(amount, replicas)));
}

/** Rounded up. */
export function partitionOf(amount: Amount, replicas: number): number {
  return Math.ceil(shareOf(amount, replicas));
}
