import { afterEach, beforeAll, expect } from 'vitest';
import { describeNetworks, testNetworks } from '../../../support/agent/networks-contract.ts';
import { ComputeNetworkDouble } from '../../../support/doubles/computenetwork.ts';

let double: ComputeNetworkDouble;

beforeAll(async () => {
  double = await ComputeNetworkDouble.load();
});
afterEach(() => {
  double.reset();
  expect(double.left).toEqual({ texts: 0, handles: 0 });
});

describeNetworks('ComputeNetworkService', async () => {
  for (const network of testNetworks) double.addNetwork(network);
  return {
    service: double.connect(),
    restart: async () => double.restart(),
    reboot: async () => double.reboot(),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
