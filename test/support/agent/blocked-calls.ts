// A separate process, so that it has its own thread pool. 100 calls into the computecore double block for as long as
// the first argument says (milliseconds). Meanwhile files are read and names are looked up, several times. Prints the
// times that these took (milliseconds), and how many of the calls had returned by then.
import '../../../agent/thread-pool.ts';
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ComputeCoreDouble } from '../doubles/computecore.ts';

const calls = 100;
const rounds = 5;
const call = 'HcsGetServiceProperties';
const blockedMilliseconds = Number(process.argv[2]);

const double = await ComputeCoreDouble.load();
const backend = double.connect();
double.script({ call, action: 'block', value: blockedMilliseconds, number: 0 });
let returned = 0;
const pending = Array.from({ length: calls }, () =>
  backend.processorTopology().finally(() => {
    returned += 1;
  }),
);
while (double.visits(call) === 0) await new Promise((resolve) => setImmediate(resolve));
// By now as many calls have begun as the pool allows.
await new Promise((resolve) => setTimeout(resolve, Math.min(200, blockedMilliseconds / 5)));

async function timed(act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await act();
  return performance.now() - begun;
}

const took: { readonly read: number; readonly lookUp: number }[] = [];
for (let round = 0; round < rounds; round += 1) {
  const [read, lookUp] = await Promise.all([
    timed(() => readFile(fileURLToPath(import.meta.url))),
    timed(() => lookup('localhost')),
  ]);
  took.push({ read, lookUp });
}
const begun = double.visits(call);
const returnedMeanwhile = returned;
double.reset();
await Promise.all(pending);
await backend.close();
process.stdout.write(JSON.stringify({ begun, returnedMeanwhile, took }));
