// Guests write the worst possible input to their logs without end, as fast as it is read. Meanwhile the VMs of another
// user are started on the same host, and asked for their documents.
import { subresourcePath } from '../../../protocol/subresources.ts';
import { worstInputs } from '../../support/system/floods.ts';
import { isRunning, type RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';

const nodeName = 'win-2022-a';
const name = 'log-flood';
const guests = 8;
const starts = 3;
const blockBytes = 64 * 1024;
const spec = { nodeName, memory: { sizeInMB: 256 } };

async function attack(target: RunningSystem): Promise<Finding> {
  const control = await target.control(nodeName);
  const flooding = Array.from({ length: guests }, (_, index) => `${name}-${index}`);
  try {
    const quiet = await startMilliseconds(target);
    for (const [index, guest] of flooding.entries()) {
      await target.apply(guest, spec);
      const { metadata } = await target.untilMachine(guest, 'runs', isRunning);
      const unit = worstInputs[index % worstInputs.length] ?? '';
      // Rejected when the guest ends.
      control.writeLog(`luvm-${metadata.uid}`, unit.repeat(blockBytes / unit.length), 1_000_000).catch(() => undefined);
    }
    const flooded = await startMilliseconds(target);
    const ratio = flooded / quiet;
    const figure = `a VM runs after ${flooded.toFixed(0)} ms beside ${guests} guests, ${quiet.toFixed(0)} ms on a quiet host: ${ratio.toFixed(2)} times`;
    return ratio <= 2 ? held(figure) : broken(figure);
  } finally {
    await target.kubectl(['delete', 'luvm', ...flooding, '--ignore-not-found', '--timeout=60s']);
    await control.close();
  }
}

/** The median time of a few starts, from the manifest to Ready. */
async function startMilliseconds(target: RunningSystem): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < starts; index += 1) {
    const neighbour = `${name}-neighbour`;
    const begun = performance.now();
    await target.apply(neighbour, spec);
    await target.untilMachine(neighbour, 'runs', isRunning);
    times.push(performance.now() - begun);
    await target.kubectl(['get', '--raw', subresourcePath('default', neighbour, 'document')]);
    await target.kubectl(['delete', 'luvm', neighbour, '--timeout=60s']);
  }
  return times.sort((one, other) => one - other)[starts >> 1] ?? Number.NaN;
}

export const logFlood: Attack = {
  name,
  party: 'guest',
  promise: 'While guests flood their logs, a neighbour takes at most twice as long to start.',
  short: false,
  run: attack,
};
