// The contract of HCS backends on Node for Windows: the double's DLL is the first argument.
import { after, it } from 'node:test';
import { describeBackend } from '../../agent/hcs/backend-contract.ts';
import { newSystemId, ordinaryDocument } from '../../agent/hcs/simulated-node.ts';
import { ComputeCoreDouble } from '../computecore.ts';

const double = new ComputeCoreDouble(process.argv[2] ?? '');

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
