// 2,000 lives of VMs on the computecore double, in a separate process, so that only its own memory is measured. Prints
// what is left over, and the growth of resident memory from the 500th life to the last. Run with --expose-gc and a
// fixed small --max-semi-space-size: V8 enlarges its young generation in steps of up to 25 MiB, which is not a leak.
import type { SystemId } from '../../../agent/node/backend.ts';
import { ComputeCoreDouble } from './computecore.ts';

const lives = 2_000;
const lanes = 10;
const document = '{"Owner":"lcow-agent","ShouldTerminateOnLastHandleClosed":true,"VirtualMachine":{}}';

const double = await ComputeCoreDouble.load();
const backend = double.connect();
let begun = 0;

async function live(): Promise<void> {
  begun += 1;
  const system = await backend.create(`luvm-${begun}` as SystemId, document);
  const other = await backend.open(system.id);
  await system.start();
  await system.properties();
  const leaving = system.close();
  await other.terminate();
  const end = await other.ended;
  if (end.kind !== 'exited') throw new Error(`a life ended with ${end.kind}`);
  await Promise.all([leaving, other.close()]);
}

async function run(until: number): Promise<void> {
  const lane = async () => {
    while (begun < until) await live();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function residentMebibytes(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
}

await run(500);
const before = residentMebibytes();
await run(lives);
const growth = residentMebibytes() - before;
await backend.close();
process.stdout.write(JSON.stringify({ lives: begun, left: double.counts(), growth }));
