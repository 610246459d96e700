import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { writeTo } from '../../kubectl/terminal.ts';

it('an output that is written to slowly collects no listeners', async () => {
  const output = new PassThrough({ highWaterMark: 1 });
  output.on('data', () => undefined);
  for (let written = 0; written < 20; written += 1) await writeTo(output, 'text');
  expect([output.listenerCount('close'), output.listenerCount('drain')]).toEqual([0, 0]);
});
