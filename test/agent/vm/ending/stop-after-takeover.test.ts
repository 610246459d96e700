// A stop that comes to an agent that has just taken a running VM over: its guest has not dialled yet, and is waited for.
import { describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../../agent/storage/file-system.ts';
import { FileJournal } from '../../../../agent/vm/journal.ts';
import type { Step } from '../../../../simulator/wire/script.ts';
import { isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { someUid as uid } from '../../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import {
  halt,
  halted,
  hostWithDisks as host,
  isHalted,
  notSynced,
  outlives,
  patient,
  startWriting,
  systemID,
  tellToHalt,
  terminated,
  written,
} from '../../../support/agent/writing-guest.ts';
import { until } from '../../../support/until.ts';

/** Its VM runs on, and its guest dials nobody before the rule is released. */
async function killAgent(node: TestNode): Promise<number> {
  const first = await startCore(node);
  await startWriting(first, outlives);
  const rule = await node.control.script({ at: 'bridge', stall: true });
  await first.kill();
  await until('it dials', async () => (await visits(node, 'bridge')) === 2);
  return rule;
}

async function visits(node: TestNode, step: Step): Promise<number> {
  return (await node.control.visits()).filter((visit) => visit.step === step).length;
}

describe('a VM that was to end with its agent, and did not', () => {
  it('is left by the next one as its journal says, before it is terminated and started again', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    // A guest whose log is lost with its agent dies of that.
    await startWriting(first, { ForwardStdout: false, ForwardStderr: false });
    const { backend } = await node.connect();
    const held = await backend.open(systemID);
    const released = held.ended.then(() => held.close());
    await first.kill();
    await using second = await startCore(node, { timeouts: patient });
    const { lastExit } = await second.until(uid, 'again', isRunning);
    expect(lastExit).toMatchObject({ type: 'AgentExit', message: 'the VM ended together with the agent that ran it' });
    expect(await written(node)).toEqual([true, true]);
    await released;
  });
});

describe('a VM whose agent was killed, and that the next one is to stop at once', () => {
  it('is stopped when its guest has connected, with all that it has written', async () => {
    await using node = await startNode(host);
    const rule = await killAgent(node);
    await using core = await startCore(node, { timeouts: patient });
    await tellToHalt(core, outlives);
    await core.until(uid, 'stopping', ({ phase }) => phase === 'Stopping');
    await node.control.release(rule);
    const { lastExit } = await core.until(uid, 'halted', isHalted);
    expect(lastExit?.message).toBe(terminated);
    expect(await written(node)).toEqual([true, true]);
  });

  it('is stopped in the same way by what the journal says, before any operator is heard', async () => {
    await using node = await startNode(host);
    const rule = await killAgent(node);
    // It had written what it was told, and had not begun to act on it.
    const journal = new FileJournal(nodeFileSystem, `${node.folder}/agent`);
    const { records } = await journal.load();
    for (const record of records) await journal.write({ ...record, assignment: halted(outlives) });
    const before = await visits(node, 'properties');
    await using second = await startCore(node, { timeouts: patient });
    await until('it looks for the guest', async () => (await visits(node, 'properties')) > before);
    await node.control.release(rule);
    const { lastExit } = await second.until(uid, 'halted', isHalted);
    expect(lastExit?.message).toBe(terminated);
    expect(await written(node)).toEqual([true, true]);
  });

  it('is stopped after a while when its guest does not connect, and says that nothing was synced', async () => {
    await using node = await startNode(host);
    await killAgent(node);
    await using core = await startCore(node, { timeouts: { ...patient, guestReconnect: 100 } });
    const { lastExit } = await halt(core, outlives);
    expect(lastExit?.message).toBe(`${terminated}; ${notSynced}: the guest has not connected to this agent`);
    expect(await written(node)).toEqual([false, false]);
  });

  it('is waited for from when it was taken over, not from the stop', async () => {
    await using node = await startNode(host);
    await killAgent(node);
    const timeouts = { ...patient, guestReconnect: 1 };
    await using core = await startCore(node, { timeouts });
    const { lastExit } = await halt(core, outlives);
    expect(lastExit?.message).toContain('the guest has not connected to this agent');
  });

  it('is not waited for once its guest has been connected to this agent', async () => {
    await using node = await startNode(host);
    const rule = await killAgent(node);
    await using core = await startCore(node, { timeouts: patient });
    await node.control.release(rule);
    await core.until(uid, 'connected', ({ conditions }) =>
      conditions.some(({ type, status }) => type === 'GuestConnected' && status === 'True'),
    );
    await node.control.script({ at: 'bridge', stall: true });
    await node.control.dropBridge(systemID);
    await core.until(uid, 'lost', ({ conditions }) =>
      conditions.some(({ type, status }) => type === 'GuestConnected' && status === 'False'),
    );
    const { lastExit } = await halt(core, outlives);
    expect(lastExit?.message).toBe(`${terminated}; ${notSynced}: the guest is not connected`);
  });
});
