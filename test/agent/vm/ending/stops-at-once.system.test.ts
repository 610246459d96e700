// A second request that arrives while a VM is being stopped: the agent completes the stop once, and then follows the
// second request.
import { describe, expect, it } from 'vitest';
import { isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import {
  halted,
  hostWithDisks as host,
  isHalted,
  optionsWith,
  patient,
  startWriting,
  tellToHalt,
  terminated,
  untilLeaving,
  written,
} from '../../../support/agent/writing-guest.ts';
import { until } from '../../../support/until.ts';

/** Each disk was unmounted once, and the VM was terminated once. */
async function expectOneStop(node: TestNode): Promise<void> {
  const steps = (await node.control.visits()).map(({ step }) => step);
  expect(steps.filter((step) => step === 'guestModify')).toHaveLength(4);
  expect(steps.filter((step) => step === 'terminate')).toHaveLength(1);
  expect(await written(node)).toEqual([true, true]);
}

describe('a VM that is being halted', () => {
  it('is removed afterwards when it is released in the meantime', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const rule = await untilLeaving(node, () => tellToHalt(core));
    core.supervisor.release(uid);
    await node.control.release(rule);
    await until('removed', () => core.removed.has(uid));
    expect(core.removed.get(uid)?.message).toBe(terminated);
    await expectOneStop(node);
    expect(await node.control.systems()).toEqual([]);
  });

  it('is stopped to the end by an agent that is told to end in the meantime', async () => {
    await using node = await startNode(host);
    const core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const rule = await untilLeaving(node, () => tellToHalt(core));
    const ended = core.supervisor.endWithAgent();
    await node.control.release(rule);
    await ended;
    await expectOneStop(node);
    expect(core.observed(uid).lastExit?.message).toBe(terminated);
    await core.kill();
  });

  it('runs again afterwards when it is assigned to run in the meantime', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const { runtimeID } = core.observed(uid);
    const rule = await untilLeaving(node, () => tellToHalt(core));
    await core.supervisor.assign({ ...halted(), runStrategy: 'Always', generation: 3 });
    await node.control.release(rule);
    const again = await core.until(uid, 'again', (now) => isRunning(now) && now.runtimeID !== runtimeID);
    expect(again.lastExit?.message).toBe(terminated);
    expect(await written(node)).toEqual([true, true]);
  });
});

describe('a VM that is being restarted', () => {
  it('stays stopped when it is halted in the meantime', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const restart = makeAssignment({ options: optionsWith(), restartedAt: 'now', generation: 2 });
    const rule = await untilLeaving(node, () => core.supervisor.assign(restart));
    await core.supervisor.assign({ ...restart, runStrategy: 'Halted', generation: 3 });
    await node.control.release(rule);
    const { lastExit } = await core.until(uid, 'halted', isHalted);
    expect(lastExit?.message).toBe('the VM was terminated by the agent (Restarting)');
    await expectOneStop(node);
  });
});

describe('a VM that ends with its agent', () => {
  it('is not started again by an assignment in the meantime', async () => {
    await using node = await startNode(host);
    const core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    let ended = Promise.resolve();
    const rule = await untilLeaving(node, () => {
      ended = core.supervisor.endWithAgent();
    });
    await core.supervisor.assign(makeAssignment({ options: optionsWith(), restartedAt: 'now', generation: 2 }));
    core.supervisor.release(uid);
    await node.control.release(rule);
    await ended;
    await expectOneStop(node);
    expect(await node.control.systems()).toEqual([]);
    await core.kill();
  });
});
