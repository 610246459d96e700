// The VMs of one agent on a simulated node, with real sockets, guests at their other end, and a real journal.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { optionsDigest } from '../../../protocol/digest.ts';
import { condition, hasReason, isReady, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { expectNothingLeft } from '../../support/agent/nothing-left.ts';
import { startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);

describe('a VM that is assigned', () => {
  it('runs, and reports each step of its start', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    const observed = await core.until(uid, 'running', isRunning);
    expect(observed).toMatchObject({
      uid,
      generation: 1,
      systemID,
      optionsDigest: optionsDigest({}),
      restarts: 0,
      processorCount: 2,
      memorySizeInMB: 1024,
      guest: { osType: 'linux', protocolVersion: 4 },
    });
    expect(observed.guestLog.head[0]).toContain('GCS started');
    const order = ['prepared', 'created', 'started', 'entropy', 'log', 'guestConnected'] as const;
    for (const phase of order) expect(observed.bootTimings[phase], phase).toBeDefined();
    for (const type of ['Prepared', 'Created', 'GuestConnected', 'Ready'] as const) {
      expect(condition(observed, type)?.status, type).toBe('True');
    }
    expect(observed.runtimeID).toBe((await node.control.system(systemID))?.runtimeId);
  });

  it('keeps what its guest logs in a file in its folder', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    const file = `${node.folder}/agent/vms/${uid}/guest.log`;
    await until('written', async () => (await readFile(file, 'utf8').catch(() => '')).includes('GCS started'));
  });

  it('leaves nothing behind once it is released', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('is removed at once when the agent does not know it', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    core.supervisor.release(uid);
    expect(core.removed.has(uid)).toBe(true);
  });

  it('is started again when it is assigned again before its teardown is complete', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    const first = await core.until(uid, 'running', isRunning);
    core.supervisor.release(uid);
    await core.supervisor.assign(makeAssignment({ generation: 2 }));
    const second = await core.until(uid, 'running anew', (now) => isRunning(now) && now.runtimeID !== first.runtimeID);
    expect(second.generation).toBe(2);
    expect(core.removed.has(uid)).toBe(true);
  });
});

describe('the run strategy', () => {
  it('Halted stops the VM, Always starts it again', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Halted', generation: 2 }));
    const halted = await core.until(uid, 'halted', (now) => now.phase === 'Stopped' && isReady(now));
    expect(halted).toMatchObject({ generation: 2, lastExit: { type: 'ForcedExit' } });
    expect(await node.control.systems()).toEqual([]);
    await core.supervisor.assign(makeAssignment({ generation: 3 }));
    expect((await core.until(uid, 'running again', isRunning)).restarts).toBe(1);
  });

  it.each([
    ['Always', 'powerOff', 'again'],
    ['Always', 'crash', 'again'],
    ['RerunOnFailure', 'powerOff', 'Completed'],
    ['RerunOnFailure', 'panic', 'again'],
    ['Once', 'powerOff', 'Completed'],
    ['Once', 'crash', 'Failed'],
  ] as const)('decides what follows an exit: %s, %s, %s', async (runStrategy, how, then) => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ runStrategy }));
    const first = await core.until(uid, 'running', isRunning);
    await node.control.endGuest(systemID, how);
    if (then === 'again') {
      const again = await core.until(uid, 'again', (now) => isRunning(now) && now.restarts === 1);
      expect(again.runtimeID).not.toBe(first.runtimeID);
      expect(again.lastExit?.type).toBe(how === 'powerOff' ? 'GracefulExit' : 'UnexpectedExit');
      return;
    }
    const ended = await core.until(uid, then, hasReason(then));
    expect(condition(ended, 'Ready')?.status).toBe(then === 'Completed' ? 'True' : 'False');
    expect(condition(ended, 'Stalled')?.status).toBe(then === 'Completed' ? undefined : 'True');
    expect(ended.phase).toBe(then === 'Completed' ? 'Stopped' : 'Failed');
  });

  it('RerunOnFailure stays Completed after it was Halted, and the message says what starts it again', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    const runStrategy = 'RerunOnFailure';
    await core.supervisor.assign(makeAssignment({ runStrategy }));
    await core.until(uid, 'running', isRunning);
    await node.control.endGuest(systemID, 'powerOff');
    await core.until(uid, 'completed', hasReason('Completed'));
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Halted', generation: 2 }));
    await core.until(uid, 'halted', hasReason('Halted'));
    await core.supervisor.assign(makeAssignment({ runStrategy, generation: 3 }));
    const still = await core.until(uid, 'completed', hasReason('Completed'));
    expect(condition(still, 'Ready')?.message).toContain('lcow.dev/restartedAt (kubectl luvm restart) starts it again');
    await core.supervisor.assign(makeAssignment({ runStrategy, generation: 3, restartedAt: 'now' }));
    expect((await core.until(uid, 'again', isRunning)).restarts).toBe(1);
  });

  it('a restart request restarts the VM once', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    const request = makeAssignment({ restartedAt: '2026-11-24T12:00:00Z' });
    await core.supervisor.assign(request);
    const again = await core.until(uid, 'restarted', (now) => isRunning(now) && now.restarts === 1);
    expect(again.restartedAt).toBe('2026-11-24T12:00:00Z');
    await core.supervisor.assign(request);
    expect(core.observed(uid)).toMatchObject({ restarts: 1, phase: 'Running' });
  });

  it.each([['OnRestart'], ['Recreate']] as const)(
    '%s decides when changed options take effect',
    async (updateStrategy) => {
      await using node = await startNode();
      await using core = await startCore(node);
      await core.supervisor.assign(makeAssignment({ updateStrategy }));
      const first = await core.until(uid, 'running', isRunning);
      const options = { ProcessorCount: 1 };
      await core.supervisor.assign(makeAssignment({ updateStrategy, options, generation: 2 }));
      if (updateStrategy === 'Recreate') {
        expect(await core.until(uid, 'made anew', (now) => isRunning(now) && now.processorCount === 1)).toBeDefined();
        return;
      }
      const observed = core.observed(uid);
      expect(observed).toMatchObject({ runtimeID: first.runtimeID, processorCount: 2, generation: 2 });
      expect(condition(observed, 'RestartRequired')?.status).toBe('True');
      expect(isReady(observed)).toBe(true);
      await core.supervisor.assign(makeAssignment({ updateStrategy, generation: 3 }));
      expect(condition(core.observed(uid), 'RestartRequired')).toBeUndefined();
    },
  );

  it('a paused VM does not change', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await core.supervisor.assign(makeAssignment({ paused: true, runStrategy: 'Halted', generation: 2 }));
    expect(core.observed(uid)).toMatchObject({ phase: 'Running', generation: 1 });
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Halted', generation: 3 }));
    await core.until(uid, 'halted', hasReason('Halted'));
  });
});
