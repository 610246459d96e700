// When an agent is told to end, it stops the VMs that end with it as in any other planned stop, whatever it is doing at
// that moment.
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type AgentEnd, runAgent } from '../../agent/agent.ts';
import type { Timeouts } from '../../agent/bounds/timeouts.ts';
import { realOutside } from '../../agent/commands/outside.ts';
import { AgentTally } from '../../agent/metrics/tally.ts';
import { systemIdOf } from '../../agent/node/system-id.ts';
import { allowList } from '../../agent/preparation/allow-list.ts';
import { nodeFileSystem } from '../../agent/storage/file-system.ts';
import { localStorage } from '../../agent/storage/local-storage.ts';
import { peekRecords } from '../../agent/vm/journal.ts';
import { isRunning, startCore, testTimeouts } from '../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../support/agent/assignments.ts';
import { startNode, type TestNode } from '../support/agent/simulated-node.ts';
import {
  hostWithDisks as host,
  optionsWith,
  patient,
  startWriting,
  systemID,
  written,
} from '../support/agent/writing-guest.ts';
import { until } from '../support/until.ts';

const slow = 'f7d4b2aa-63f0-4ad4-8d5b-5b3c1a7f9e10';

async function startAgent(
  node: TestNode,
  timeouts: Partial<Timeouts> = {},
): Promise<{ readonly stop: AbortController; readonly ended: Promise<AgentEnd> }> {
  const stop = new AbortController();
  const connection = await node.connect();
  const ended = runAgent(
    {
      version: '0.0.0',
      operator: { url: 'wss://127.0.0.1:1/v1/agents', tokenFile: join(node.folder, 'token'), caFile: undefined },
      stateDir: join(node.folder, 'agent'),
      stateFolder: 'C:\\ProgramData\\lcow',
      ownFolders: [],
      timeouts: { ...testTimeouts, ...timeouts },
      allowed: allowList({ paths: ['C:\\'], pipes: [], devices: [] }),
      guestLog: {},
      healthPort: undefined,
    },
    realOutside(
      {
        storage: localStorage,
        connect: () =>
          Promise.resolve({ ...connection, readConsole: () => new PassThrough(), uptime: () => Date.now() }),
      },
      pino({ level: 'silent' }),
    ),
    stop.signal,
  );
  return { stop, ended };
}

/** A VM that ends with its agent does so a little later. Its disks must not be mistaken for those of the next one. */
async function untilEnded(node: TestNode): Promise<void> {
  await until('ended with its agent', async () => (await node.control.system(systemID)) === undefined);
}

/** Both disks are mounted, and the agent knows it: a disk whose request is not answered yet is not unmounted. */
async function untilMounted(node: TestNode): Promise<void> {
  const mounts = async () => (await node.control.system(systemID))?.guest?.mounts;
  await until('mounted', async () => (await mounts())?.['/mnt/other'] !== undefined);
  await until('known to the agent', async () => {
    const records = await peekRecords(nodeFileSystem, join(node.folder, 'agent'));
    return records.find((record) => record.uid === uid)?.disks.every(({ state }) => state === 'attached') === true;
  });
}

const unmounts = async (node: TestNode) =>
  (await node.control.visits()).filter(({ step, system }) => step === 'guestModify' && system === systemID).length;

describe('an agent that ends', () => {
  it('unmounts the disks of the VMs that end with it, then stops these VMs', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await startWriting(first);
    await first.kill();
    await untilEnded(node);
    const { ended, stop } = await startAgent(node);
    // The agent starts again the VM that ended with the previous agent. It needs no operator for that.
    await untilMounted(node);
    const before = await unmounts(node);
    stop.abort();
    expect(await ended).toBe('stopped');
    expect(await unmounts(node)).toBe(before + 2);
    expect(await node.control.systems()).toEqual([]);
  });

  it('does the same while it recovers, with one VM still being examined and another one already running', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await first.supervisor.assign(
      makeAssignment({ uid: slow, name: 'slow', options: { TerminateOnAgentExit: false } }),
    );
    await first.until(slow, 'running', isRunning);
    await startWriting(first);
    await first.kill();
    await untilEnded(node);
    await node.control.script({ at: 'open', system: systemIdOf(slow), stall: true });
    const { ended, stop } = await startAgent(node, { recovery: 600_000 });
    await untilMounted(node);
    const before = await unmounts(node);
    stop.abort();
    expect(await ended).toBe('stopped');
    expect(await unmounts(node)).toBe(before + 2);
    const left = (await node.control.systems()).map(({ id, state }) => ({ id, state }));
    expect(left).toEqual([{ id: systemIdOf(slow), state: 'Running' }]);
  });

  it('does the same with a VM whose life is about to begin again after an internal error', async () => {
    await using node = await startNode(host);
    const tally = new AgentTally();
    let isFaulty = false;
    const openGuestOutput = () => () => {
      if (!isFaulty) return;
      isFaulty = false;
      throw new TypeError('planted');
    };
    const timeouts = { ...patient, backOffUnit: 600_000, backOffMaximum: 600_000 };
    const core = await startCore(node, { tally, timeouts, guestLog: { openGuestOutput } });
    await startWriting(core);
    isFaulty = true;
    await until('it is to begin again', () => tally.internalErrors === 1);
    await core.supervisor.endWithAgent();
    expect(await written(node)).toEqual([true, true]);
    expect(await node.control.systems()).toEqual([]);
    await core.kill();
  });

  it('has written to the journal how its VMs ended before its process ends', async () => {
    await using node = await startNode(host);
    const first = await startCore(node, { timeouts: patient });
    await startWriting(first);
    await node.control.pause(systemID);
    await first.supervisor.endWithAgent();
    const told = first.observed(uid).lastExit;
    await first.kill();
    await using second = await startCore(node);
    await second.supervisor.assign(makeAssignment({ options: optionsWith(), runStrategy: 'Halted' }));
    expect(told?.message).toMatch(/^the VM ended together with the agent that ran it; .* the VM is paused$/);
    expect(second.observed(uid).lastExit).toEqual(told);
  });
});
