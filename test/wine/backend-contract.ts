// The contract of HCS backends on Node for Windows. `npm run test:wine` runs it.
import { after, it } from 'node:test';
import { describeBackend } from '../support/agent/backend-contract.ts';
import { newSystemId, ordinaryDocument } from '../support/agent/simulated-node.ts';
import { ComputeCoreDouble } from '../support/doubles/computecore.ts';

const double = new ComputeCoreDouble(process.env['LCOW_COMPUTECORE'] ?? '');

describeBackend('ComputeCoreBackend on Windows', async () => {
  const backend = double.connect();
  const backends = [backend];
  return {
    backend,
    newId: newSystemId,
    document: (options) => JSON.stringify(ordinaryDocument(options)),
    async another() {
      const another = double.connect();
      backends.push(another);
      return another;
    },
    async [Symbol.asyncDispose]() {
      for (const each of backends) await each.close();
      double.reset();
    },
  };
});

it('runs on Windows', () => {
  if (process.platform !== 'win32') throw new Error(`this is ${process.platform}`);
});

after(() => {
  const left = Object.entries(double.counts()).filter(([, count]) => count !== 0);
  if (left.length > 0) throw new Error(`left over: ${JSON.stringify(left)}`);
});
