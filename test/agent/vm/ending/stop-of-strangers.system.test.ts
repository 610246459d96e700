// A running VM of the agent that is missing in the journal, for example because the agent's state folder was lost. It
// can have mounted disks, so they are synced before it is terminated.
import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../../agent/storage/file-system.ts';
import { FileJournal } from '../../../../agent/vm/journal.ts';
import { type CoreOptions, condition, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import {
  halt,
  hostWithDisks as host,
  optionsWith,
  outlives,
  patient,
  startWriting,
  systemID,
  written,
} from '../../../support/agent/writing-guest.ts';
import { until } from '../../../support/until.ts';

const terminated = 'the agent terminated the VM, of which its journal knew nothing';
const always = makeAssignment({ options: optionsWith(outlives) });

/** Starts a VM with another agent whose journal is not kept. */
async function leaveRunning(node: TestNode, options: CoreOptions = {}): Promise<void> {
  const core = await startCore(node, options);
  await startWriting(core, outlives);
  await core.kill();
  await rm(`${node.folder}/agent/vms`, { recursive: true, force: true });
}

describe('a VM that is missing in the journal', () => {
  it('is synced before it is started again, and reports how it ended', async () => {
    await using node = await startNode(host);
    await leaveRunning(node);
    await using core = await startCore(node, { timeouts: patient });
    expect(core.observed(uid).phase).toBe('Unknown');
    await core.supervisor.assign(always);
    const { lastExit } = await core.until(uid, 'running', isRunning);
    expect(lastExit).toMatchObject({ type: 'AgentExit', message: `${terminated}; what was mounted was synced` });
    expect(await written(node)).toEqual([true, true]);
  });

  it('is synced before it is halted', async () => {
    await using node = await startNode(host);
    await leaveRunning(node);
    await using core = await startCore(node, { timeouts: patient });
    expect((await halt(core, outlives)).lastExit?.message).toBe(`${terminated}; what was mounted was synced`);
    expect(await written(node)).toEqual([true, true]);
  });

  it('is synced before it is released', async () => {
    await using node = await startNode(host);
    await leaveRunning(node);
    await using core = await startCore(node, { timeouts: patient });
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    expect(await written(node)).toEqual([true, true]);
  });

  it('is terminated although its guest does not connect', async () => {
    await using node = await startNode(host);
    await node.control.script({ at: 'bridge', skip: 1, stall: true });
    await leaveRunning(node);
    await using core = await startCore(node, { timeouts: { ...patient, guestReconnect: 50 } });
    const { lastExit } = await halt(core, outlives);
    const why = 'the guest has not connected to this agent';
    expect(lastExit?.message).toBe(`${terminated}; what was mounted was not synced: ${why}`);
  });

  it('is terminated at once when it is paused', async () => {
    await using node = await startNode(host);
    await leaveRunning(node);
    await node.control.pause(systemID);
    await using core = await startCore(node, { timeouts: patient });
    const { lastExit } = await halt(core, outlives);
    expect(lastExit?.message).toBe(`${terminated}; what was mounted was not synced: the VM is paused`);
  });

  it('is synced, too, when it appears under the id of a VM that is about to be created', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await leaveRunning(node, { journal: new FileJournal(nodeFileSystem, `${node.folder}/elsewhere`) });
    await core.supervisor.assign(always);
    const running = await core.until(uid, 'running', isRunning);
    expect(running.lastExit?.message).toBe(`${terminated}; what was mounted was synced`);
    expect(running.startFailure).toBeUndefined();
    expect(condition(running, 'GuestConnected')?.status).toBe('True');
    expect(await written(node)).toEqual([true, true]);
  });
});
