// The output of a process waits for the log: nothing more is read before the log has taken what was read.
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { fixedTimes } from '../../../../agent/bounds/timeouts.ts';
import { ProcessOutput, type ProcessOutputPorts } from '../../../../agent/vm/process/output.ts';
import { ManualClock } from '../../../support/clocks/manual-clock.ts';
import { until } from '../../../support/until.ts';

function outputOf(ports: Partial<ProcessOutputPorts> = {}) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const output = new ProcessOutput(streams, {
    clock,
    onLines: (some, from) => lines.push(...some.map((line) => `${from} ${line}`)),
    flushed: () => Promise.resolve(),
    ...ports,
  });
  return { clock, lines, output, ...streams };
}

it('has the lines of both streams, also the last one without a line end', async () => {
  const { lines, output, stderr, stdout } = outputOf();
  stdout.end('one\ntwo');
  stderr.end('three\n');
  await output.drained();
  expect(lines.toSorted()).toEqual(['stderr three', 'stdout one', 'stdout two']);
});

it('reads no further while the log takes nothing', async () => {
  const gate = Promise.withResolvers<void>();
  const { lines, output, stderr, stdout } = outputOf({ flushed: () => gate.promise });
  stderr.end();
  const text = 'x\n'.repeat(100_000);
  stdout.end(text);
  await until('some are read', () => lines.length > 0);
  expect(lines).toHaveLength(128);
  gate.resolve();
  await output.drained();
  expect(lines).toHaveLength(100_000);
});

it('waits for the rate instead of dropping lines', async () => {
  const rate = { recordsPerSecond: 64, burst: 128 };
  const { clock, lines, output, stderr, stdout } = outputOf({ rate });
  stderr.end();
  stdout.end('x\n'.repeat(384));
  await until('the burst is read', () => lines.length === 256);
  const drained = output.drained();
  await clock.advance(2_000);
  await until('all are read', () => lines.length === 384);
  await clock.advance(2_000);
  await drained;
});

it('is complete after a time of silence when another program keeps it open', async () => {
  const { clock, output, stdout } = outputOf();
  stdout.write('one\n');
  const drained = output.drained();
  for (let time = 0; time < 3; time += 1) await clock.advance(fixedTimes.streams.lingering);
  await drained;
  expect(stdout.destroyed).toBe(true);
});

it('is complete after a longer time when another program never falls silent', async () => {
  const { clock, output, stdout } = outputOf();
  const drained = output.drained();
  for (let time = 0; time < fixedTimes.vm.processOutput + 4_000; time += 1_000) {
    stdout.write('more\n');
    await clock.advance(1_000);
  }
  await drained;
  expect(stdout.destroyed).toBe(true);
});
