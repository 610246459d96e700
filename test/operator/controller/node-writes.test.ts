import { describe, expect, it } from 'vitest';
import { NodeWrites, nodeWriteLimits } from '../../../operator/controller/status/node-writes.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

const kibibyte = 1024;
const hour = 3_600_000;

/** How many bytes a node with this many VMs makes the operator write when it never stops trying. */
async function written(virtualMachines: number, milliseconds: number, objectBytes: number): Promise<number> {
  const clock = new ManualClock();
  const writes = new NodeWrites(clock, () => virtualMachines);
  const object = 'x'.repeat(objectBytes);
  let bytes = 0;
  for (let passed = 0; passed < milliseconds; passed += 100) {
    if (writes.remaining('node-a') === 0) {
      writes.wrote('node-a', object);
      bytes += objectBytes;
    }
    await clock.advance(100);
  }
  return bytes;
}

describe('how much a node makes the operator store', () => {
  it.each([0, 1, 3])('is less than 1 MB a minute with %i VMs, from the first minute on', async (virtualMachines) => {
    expect(await written(virtualMachines, 60_000, 40 * kibibyte)).toBeLessThan(1_000_000);
    expect((await written(virtualMachines, 600_000, 40 * kibibyte)) / 10).toBeLessThan(700_000);
  });

  it('is enough for a large host whose VMs all restart', async () => {
    const writes = new NodeWrites(new ManualClock(), () => 500);
    for (let each = 0; each < 4 * 500; each += 1) {
      expect(writes.remaining('node-a')).toBe(0);
      writes.wrote('node-a', 'x'.repeat(7 * kibibyte));
    }
  });

  it('is forgotten after a while, and limits no other node', async () => {
    const clock = new ManualClock();
    const writes = new NodeWrites(clock, () => 0);
    writes.wrote('node-a', 'x'.repeat(1 << 20));
    expect(writes.remaining('node-a')).toBeGreaterThan(60_000);
    expect(writes.remaining('node-b')).toBe(0);
    await clock.advance(hour);
    expect(writes.remaining('node-a')).toBe(0);
  });

  it('includes facts once a minute', async () => {
    const clock = new ManualClock();
    const writes = new NodeWrites(clock, () => 0);
    expect(writes.factsRemaining('node-a')).toBe(0);
    writes.wroteFacts('node-a');
    await clock.advance(20_000);
    expect(writes.factsRemaining('node-a')).toBe(nodeWriteLimits.factsMilliseconds - 20_000);
    await clock.advance(40_000);
    expect(writes.factsRemaining('node-a')).toBe(0);
  });

  it('is remembered for a bounded number of nodes', () => {
    const writes = new NodeWrites(new ManualClock(), () => 0);
    writes.wroteFacts('first');
    for (let index = 0; index < 10_000; index += 1) writes.wroteFacts(`node-${index}`);
    expect(writes.factsRemaining('first')).toBe(0);
    expect(writes.factsRemaining('node-9999')).toBeGreaterThan(0);
  });
});
