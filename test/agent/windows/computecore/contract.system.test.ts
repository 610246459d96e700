import { afterEach, beforeAll, expect } from 'vitest';
import { describeBackend } from '../../../support/agent/backend-contract.ts';
import { newSystemId, ordinaryDocument } from '../../../support/agent/simulated-node.ts';
import { ComputeCoreDouble, nothingLeft } from '../../../support/doubles/computecore.ts';

let double: ComputeCoreDouble;

beforeAll(async () => {
  double = await ComputeCoreDouble.load();
});
afterEach(() => {
  double.reset();
  expect(double.counts()).toEqual(nothingLeft);
});

describeBackend('ComputeCoreBackend', async () => {
  const backend = double.connect();
  const backends = [backend];
  return {
    backend,
    newId: newSystemId,
    document: (options) => JSON.stringify(ordinaryDocument(options)),
    another: async () => {
      const another = double.connect();
      backends.push(another);
      return another;
    },
    async [Symbol.asyncDispose]() {
      for (const each of backends) await each.close();
    },
  };
});
