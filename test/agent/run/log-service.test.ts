import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { GuestListener } from '../../../agent/node/guest-sockets.ts';
import { type GuestLogPolicy, GuestLogService } from '../../../agent/run/log-service.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';

/** A log service whose guest writes one stream. */
async function serve(text: string, log: GuestLogPolicy) {
  const stream = new PassThrough();
  const never: GuestListener['accept'] = (signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  const streams = [stream];
  const listener: GuestListener = {
    accept: (signal) => {
      const next = streams.shift();
      return next === undefined ? never(signal) : Promise.resolve(next);
    },
    close: () => Promise.resolve(),
  };
  const lines: string[] = [];
  const service = new GuestLogService(listener, {
    uid: 'u',
    clock: new FakeClock(),
    onLines: (more) => lines.push(...more),
    log,
  });
  const over = new AbortController();
  const served = service.serve(over.signal).catch(() => undefined);
  await service.first;
  stream.end(text);
  await service.drained;
  over.abort(new Error('over'));
  await served;
  return { lines, service };
}

describe('the log of a running guest', () => {
  it('is scrubbed when requested, for collectors too', async () => {
    const records: string[] = [];
    const log: GuestLogPolicy = {
      scrub: true,
      onRecords: (more) => records.push(...more.map(({ message }) => message)),
    };
    const { lines } = await serve('{"msg":"password=abc"}\n', log);
    expect(lines).toEqual(['info password=<scrubbed>']);
    expect(records).toEqual(['password=<scrubbed>']);
  });

  it('is held to its rate, and dropped lines are counted and reported', async () => {
    let dropped = 0;
    const log: GuestLogPolicy = {
      rate: { recordsPerSecond: 1, burst: 2 },
      onDropped: (records) => {
        dropped += records;
      },
    };
    const { lines } = await serve('{"msg":"a"}\n{"msg":"b"}\n{"msg":"c"}\n{"msg":"d"}\n', log);
    expect(lines).toEqual([
      'info a',
      'info b',
      'warning guest log records dropped: the guest writes too fast dropped=2',
    ]);
    expect(dropped).toBe(2);
  });

  it('reports the time in which no agent was running', async () => {
    const { lines, service } = await serve('', {});
    service.tellOfGap();
    expect(lines).toEqual(['1970-01-01T00:00:00.000Z warning guest log gap: the agent was away']);
  });
});
