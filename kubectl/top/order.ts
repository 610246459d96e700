// The values of `--sort-by`.

export const topOrders = ['cpu', 'memory', 'log', 'name'] as const;
export type TopOrder = (typeof topOrders)[number];
