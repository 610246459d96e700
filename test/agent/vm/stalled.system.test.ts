// A step that fails for a minute is shown as stalled, and recovers with its first success. Time passes 200 times as
// fast.
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { condition, isReady, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { defaultHost, startNode } from '../../support/agent/simulated-node.ts';

const factor = 200;

function fastClock(): Clock {
  const start = Date.now();
  return {
    now: () => start + (Date.now() - start) * factor,
    after: (milliseconds, task) => systemClock.after(milliseconds / factor, task),
  };
}

/** These bounds allow for real work, which does not run faster. */
const patient = {
  bootTimeout: 5_000 * factor,
  exit: 2_000 * factor,
  modify: 5_000 * factor,
  drainLogs: 1_000 * factor,
};
const calls = { create: 5_000 * factor, query: 5_000 * factor, copy: 5_000 * factor, closeHandle: 5_000 * factor };
const settings = () => ({
  clock: fastClock(),
  timeouts: { ...patient, ...calls, changeRetry: 15_000, backOffUnit: 10_000, backOffMaximum: 60_000 },
});

describe('a VM', () => {
  it('with a disk that does not exist is stalled until the disk exists', async () => {
    const disk = { name: 'data', path: 'C:\\disks\\none.vhd', readOnly: true };
    await using node = await startNode();
    await using core = await startCore(node, settings());
    const begun = settings().clock.now();
    await core.supervisor.assign(makeAssignment({ options: { Disks: [disk] } }));
    const failed = await core.until(uid, 'failed', (now) => condition(now, 'Ready')?.reason === 'DiskFailed');
    expect(condition(failed, 'Stalled')).toBeUndefined();
    expect(condition(failed, 'Reconciling')?.status).toBe('True');
    const stalled = await core.until(uid, 'stalled', (now) => condition(now, 'Stalled') !== undefined);
    expect(begun).toBeLessThan(settings().clock.now());
    expect(condition(stalled, 'Stalled')).toMatchObject({ status: 'True', reason: 'DiskFailed' });
    expect(condition(stalled, 'Reconciling')).toBeUndefined();
    expect(stalled.phase).toBe('Running');
    await core.supervisor.assign(makeAssignment({ generation: 2 }));
    const well = await core.until(uid, 'ready', isReady);
    expect(condition(well, 'Stalled')).toBeUndefined();
  });

  it('that HCS refuses again and again is stalled, is still tried, and runs when it can', async () => {
    await using node = await startNode(defaultHost);
    await using core = await startCore(node, settings());
    const rule = await node.control.script({ at: 'create', fail: { hresult: '0x80004005' }, times: 100 });
    await core.supervisor.assign(makeAssignment());
    const stalled = await core.until(uid, 'stalled', (now) => condition(now, 'Stalled') !== undefined);
    expect(condition(stalled, 'Stalled')?.reason).toBe('CreateFailed');
    expect(condition(stalled, 'Reconciling')).toBeUndefined();
    expect(stalled.startFailure?.count).toBeGreaterThanOrEqual(5);
    await node.control.release(rule);
    const running = await core.until(uid, 'running', isRunning);
    expect(running.startFailure).toBeUndefined();
  });

  it('that ends well again and again does not count as failing to start', async () => {
    await using node = await startNode();
    await using core = await startCore(node, settings());
    await core.supervisor.assign(makeAssignment());
    for (const restarts of [0, 1, 2]) {
      await core.until(uid, 'running', (now) => isRunning(now) && now.restarts === restarts);
      await node.control.endGuest(systemIdOf(uid), 'powerOff');
      const ended = await core.until(
        uid,
        'ended',
        ({ phase, lastExit }) => phase !== 'Running' && lastExit !== undefined,
      );
      expect(ended.startFailure).toBeUndefined();
    }
  });
});
