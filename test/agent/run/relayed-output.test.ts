// The output of a relay across its connections.
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { AcceptQueue } from '../../../agent/guest/accept-queue.ts';
import { RelayedOutput } from '../../../agent/run/relayed-output.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { until } from '../../support/until.ts';

function hear() {
  const queue = new AcceptQueue<PassThrough>(16);
  let isClosed = false;
  const output = new RelayedOutput(
    {
      accept: (signal) => queue.accept(signal),
      close: async () => {
        isClosed = true;
        queue.close(new Error('closed'));
      },
    },
    systemClock,
  );
  return { queue, output, isClosed: () => isClosed };
}

function collect(output: RelayedOutput) {
  let text = '';
  let isOver = false;
  output.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  output.once('end', () => {
    isOver = true;
  });
  return { text: () => text, isOver: () => isOver };
}

it('goes on over the next connection, and does not join the line that was cut off with another', async () => {
  const { output, queue } = hear();
  const heard = collect(output);
  const [first, second] = [new PassThrough(), new PassThrough()];
  queue.arrive(first);
  first.write('one\ntw');
  await until('read', () => heard.text() === 'one\ntw');
  first.destroy();
  queue.arrive(second);
  second.write('ee\nfour\n');
  await until('read', () => heard.text() === 'one\ntw\nee\nfour\n');
  output.relayEnded();
  second.end();
  await until('over', heard.isOver);
});

it('ends with the relay, whose last connection has ended before', async () => {
  const { isClosed, output, queue } = hear();
  const heard = collect(output);
  const only = new PassThrough();
  queue.arrive(only);
  only.end('last words');
  await until('read', () => heard.text() === 'last words' && only.destroyed);
  expect(heard.isOver()).toBe(false);
  output.relayEnded();
  await until('over', heard.isOver);
  await until('closed', isClosed);
});

it('takes no more than its reader, so the relay waits', async () => {
  const { output, queue } = hear();
  const only = new PassThrough();
  queue.arrive(only);
  const block = Buffer.alloc(16 * 1024, 'x');
  let given = 0;
  output.read(0);
  while (only.write(block) && given < 1000) {
    given += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(given).toBeLessThan(20);
  output.destroy();
  await until('cut off', () => only.destroyed);
});

it('is closed while it waits for a connection, or before anybody reads', async () => {
  for (const begins of [true, false]) {
    const { isClosed, output } = hear();
    if (begins) output.read(0);
    output.destroy();
    await until('closed', isClosed);
  }
});
