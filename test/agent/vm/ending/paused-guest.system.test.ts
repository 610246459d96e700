// A VM that somebody has paused on its host. Nothing in it answers, and its last writes cannot be saved. The agent
// stops it at once all the same, and an agent that finds it continues with it.
import { describe, expect, it } from 'vitest';
import { hasReason, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { startNode } from '../../../support/agent/simulated-node.ts';
import {
  halt,
  hostWithDisks as host,
  isHalted,
  notSynced,
  optionsWith,
  outlives,
  patient,
  startWriting,
  systemID,
  tellToHalt,
  terminated,
  untilLeaving,
  written,
} from '../../../support/agent/writing-guest.ts';
import { until } from '../../../support/until.ts';

const isPaused = `${notSynced}: the VM is paused`;

describe('a VM that was paused on its host', () => {
  it.each(['stay', 'end'] as const)(
    'is halted at once, and reports that nothing was synced: connections %s',
    async (connections) => {
      await using node = await startNode(host);
      await using core = await startCore(node, { timeouts: patient });
      await startWriting(core);
      await node.control.pause(systemID, connections);
      if (connections === 'end') await core.until(uid, 'not connected', hasReason('GuestConnectionLost'));
      const { lastExit } = await halt(core);
      expect(lastExit).toMatchObject({ type: 'ForcedExit', message: `${terminated}; ${isPaused}` });
      expect(await written(node)).toEqual([false, false]);
      expect(await node.control.systems()).toEqual([]);
    },
  );

  it('is released and restarted at once', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await node.control.pause(systemID);
    await core.supervisor.assign(makeAssignment({ options: optionsWith(), restartedAt: 'now', generation: 2 }));
    const again = await core.until(uid, 'again', (now) => isRunning(now) && now.restartedAt === 'now');
    expect(again.lastExit?.message).toContain(isPaused);
    await node.control.pause(systemID);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
  });

  it('is terminated at once when its agent ends', async () => {
    await using node = await startNode(host);
    const core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await node.control.pause(systemID);
    await core.supervisor.endWithAgent();
    expect(core.observed(uid).lastExit?.message).toContain(isPaused);
    await core.kill();
  });

  it('is stopped within the bounds when it is paused in the middle of a stop', async () => {
    await using node = await startNode(host);
    const timeouts = { leaveDisks: 200, leaveProcesses: 20 };
    await using core = await startCore(node, { timeouts });
    await startWriting(core);
    const rule = await untilLeaving(node, () => tellToHalt(core));
    await node.control.pause(systemID);
    await node.control.release(rule);
    const { lastExit } = await core.until(uid, 'halted', isHalted);
    expect(lastExit?.message).toContain('stayed mounted and were not synced: the guest has not answered within');
  });

  it('continues when it is resumed', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await node.control.pause(systemID);
    await node.control.resume(systemID);
    expect((await halt(core)).lastExit?.message).toBe(terminated);
    expect(await written(node)).toEqual([true, true]);
  });

  it('is adopted by the next agent, not ended', async () => {
    await using node = await startNode(host);
    const first = await startCore(node, { timeouts: patient });
    await startWriting(first, outlives);
    const { runtimeID } = first.observed(uid);
    await node.control.pause(systemID, 'end');
    await first.kill();
    await using second = await startCore(node, { timeouts: patient });
    expect(second.observed(uid)).toMatchObject({ phase: 'Running', runtimeID });
    await node.control.resume(systemID);
    await second.until(uid, 'running', isRunning);
    expect((await halt(second, outlives)).lastExit?.message).toBe(terminated);
    expect(await written(node)).toEqual([true, true]);
  });

  it('is stopped at once by the next agent when the first one dies in the middle of its stop', async () => {
    await using node = await startNode(host);
    const first = await startCore(node, { timeouts: patient });
    await startWriting(first, outlives);
    await node.control.pause(systemID);
    await node.control.script({ at: 'terminate', stall: true });
    await tellToHalt(first, outlives);
    await until('in the middle', async () => (await node.control.visits()).some(({ step }) => step === 'terminate'));
    await first.vanish();
    await using second = await startCore(node, { timeouts: patient });
    const { lastExit } = await second.until(uid, 'halted', isHalted);
    expect(lastExit).toMatchObject({ type: 'ForcedExit', message: `${terminated}; ${isPaused}` });
  });
});
