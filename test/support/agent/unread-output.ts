// A process whose standard output may not be read: writes guest lines to it as the agent does, and reports to its
// parent how long that took and how many lines were lost.
import { pino } from 'pino';
import { GuestLogOutput } from '../../../agent/guest-log/output.ts';
import { systemClock } from '../../../runtime/clock.ts';

const lines = 20_000;
const source = { namespace: 'team', name: 'vm', uid: 'u' };
const destination = pino.destination({ dest: 1, sync: false });
const rate = { recordsPerSecond: lines, burst: lines };
const output = new GuestLogOutput({ destination, clock: systemClock, rate });
const write = output.writerOf('u', () => {});

const begun = Date.now();
for (let number = 0; number < lines; number += 1) {
  write([{ level: 'info', message: `line ${number} ${'x'.repeat(500)}`, fields: {} }], source);
  // Lines arrive from a socket in parts, with other work in between.
  if (number % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
}
process.send?.({ milliseconds: Date.now() - begun, dropped: output.dropped, lines });
process.once('message', () => process.disconnect());
