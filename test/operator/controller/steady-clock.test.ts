import { describe, expect, it } from 'vitest';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { NodeStates } from '../../../operator/controller/knowledge/node-state.ts';
import { SteadyClock } from '../../../operator/controller/knowledge/steady-clock.ts';
import { connectionError, failed } from '../../../operator/kubernetes/api-error.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

const hour = 3_600_000;

/** A wall clock that the test sets. */
class SteppedClock implements Clock {
  step = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now() + this.step;
  }

  after(milliseconds: number, task: () => void) {
    return this.#clock.after(milliseconds, task);
  }
}

describe('a step of the wall clock', () => {
  it.each([
    ['forwards', hour],
    ['backwards', -hour],
  ])('of an hour %s makes no host disconnected sooner or much later', async (_name, step) => {
    const time = new ManualClock();
    const wall = new SteppedClock(time);
    const steady = new SteadyClock(wall);
    const inventory = new Inventory(steady);
    inventory.begin('node-a', [], true);
    inventory.end('node-a');
    await time.advance(30_000);
    wall.step = step;
    expect(inventory.untilDisconnected('node-a')).toBeGreaterThanOrEqual(20_000);
    await time.advance(35_000);
    expect(inventory.untilDisconnected('node-a')).toBe(0);
    steady.stop();
  });

  it('of an hour forwards does not make a Node count as gone that was away only briefly', async () => {
    const time = new ManualClock();
    const wall = new SteppedClock(time);
    const steady = new SteadyClock(wall);
    const nothing = { get: () => undefined, values: () => [] };
    const notFound = {
      ...connectionError('ConnectionFailed', 'no such node'),
      code: 404,
      reason: 'NotFound',
      objectName: 'a',
    };
    const nodeStates = new NodeStates(
      nothing,
      nothing,
      new Inventory(steady),
      () => Promise.resolve(failed(notFound)),
      steady,
    );
    expect(await nodeStates.of('a')).toBe('MayRun');
    wall.step = hour;
    expect(await nodeStates.of('a')).toBe('MayRun');
    await time.advance(60_000);
    expect(await nodeStates.of('a')).toBe('Gone');
    steady.stop();
  });
});
