// A stop requested from an agent that has just adopted a running VM: its guest has not dialled yet, and the agent waits
// for it.
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

/** Kills the agent. Its VM continues to run, and its guest dials nobody before the rule is released. */
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

describe('a VM that had to end with its agent, and did not', () => {
  it('is stopped by the next agent as the journal says, before it is terminated and started again', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    // A guest that loses its log connection together with its agent dies.
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

describe('a VM whose agent was killed and that the next agent must stop at once', () => {
  it('is stopped when its guest has connected, with everything that it has written', async () => {
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

  it('is stopped in the same way as the journal says, before an operator connects', async () => {
    await using node = await startNode(host);
    const rule = await killAgent(node);
    // The first agent had written the new assignment to its journal, and had not acted on it.
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

  it('is stopped after a bound when its guest does not connect, and reports that nothing was synced', async () => {
    await using node = await startNode(host);
    await killAgent(node);
    await using core = await startCore(node, { timeouts: { ...patient, guestReconnect: 100 } });
    const { lastExit } = await halt(core, outlives);
    expect(lastExit?.message).toBe(`${terminated}; ${notSynced}: the guest has not connected to this agent`);
    expect(await written(node)).toEqual([false, false]);
  });

  it('is waited for since the adoption, not since the stop', async () => {
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
