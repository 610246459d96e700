// Bounds on what guests make the agent hold and do, for one guest and for all guests together.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../../agent/bounds/byte-budget.ts';
import { GuestBridge } from '../../../agent/guest/bridge/bridge.ts';
import { encodeFrame } from '../../../agent/guest/bridge/frames.ts';
import { GuestLogFile } from '../../../agent/guest-log/file.ts';
import { RedialPauses } from '../../../agent/run/redial-pauses.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';

const signal = new AbortController().signal;

describe('what guests make the agent hold', () => {
  it('is bounded for lines that wait for the disk: for all guests together, with a minimum for each guest', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bounds-'));
    const waiting = new ByteBudget(256 * 1024);
    const file = () => {
      const counted = { dropped: 0 };
      const onDropped = (lines: number) => {
        counted.dropped += lines;
      };
      return {
        counted,
        file: new GuestLogFile({ files: nodeFileSystem, folder, waiting, onDropped, onFailure: () => undefined }),
      };
    };
    const [flooding, quiet] = [file(), file()];
    const line = 'x'.repeat(1000);
    for (let count = 0; count < 1000; count += 1) flooding.file.append(line);
    const most = waiting.held;
    expect(most).toBeGreaterThan(200 * 1024);
    expect(most).toBeLessThan(300 * 1024);
    expect(flooding.counted.dropped).toBeGreaterThan(700);
    for (let count = 0; count < 1000; count += 1) quiet.file.append(line);
    expect(1000 - quiet.counted.dropped).toBeGreaterThan(50);
    expect(waiting.held - most).toBeLessThanOrEqual(64 * 1024);
    await flooding.file.flush();
    await quiet.file.flush();
    expect(waiting.held).toBe(0);
    const written = (await readFile(join(folder, 'guest.log'), 'utf8')).split('\n').filter((each) => each === line);
    expect(written).toHaveLength(2000 - flooding.counted.dropped - quiet.counted.dropped);
    await rm(folder, { recursive: true, force: true });
  });
});

describe('a guest that answers what was not asked', () => {
  it.each([
    ['in number', 2_000, '{}'],
    ['in bytes', 100, JSON.stringify('z'.repeat(40_000))],
  ])('has its bridge closed, by a bound %s', async (_, frames, payload) => {
    const stream = new PassThrough();
    let late = 0;
    const bridge = GuestBridge.connect(stream, {
      clock: new FakeClock(),
      firstId: 1_000_000n,
      onLateAnswer: () => {
        late += 1;
      },
    });
    for (let id = 0; id < frames; id += 1) stream.write(encodeFrame(0x2010_0601, BigInt(id), payload));
    const end = await bridge.closed;
    expect(end).toMatchObject({ message: 'too many responses to requests that were not made' });
    expect(late).toBeLessThanOrEqual(1024);
  });
});

describe('a guest that dials and hangs up', () => {
  /** The pauses before its connections are accepted, when each connection lasts this long. */
  async function pauses(lasting: readonly number[]): Promise<readonly number[]> {
    const clock = new FakeClock();
    const redials = new RedialPauses(clock);
    const taken: number[] = [];
    for (const milliseconds of lasting) {
      redials.connected();
      clock.advance(milliseconds);
      const waiting = redials.wait(signal);
      let pause = 0;
      while (clock.pending > 0) {
        clock.advance(50);
        pause += 50;
      }
      await waiting;
      taken.push(pause);
    }
    return taken;
  }

  it('is served less and less often, until a connection lasts', async () => {
    expect(await pauses([0, 0, 0, 0, 0, 0, 0, 0])).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(await pauses([0, 0, 60_000, 0])).toEqual([100, 200, 100, 200]);
  });
});
