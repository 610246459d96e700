// What the next agent finds after an agent was killed, on a simulated node with a real journal.
import { appendFile, readFile, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal, type Journal } from '../../../agent/vm/journal.ts';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import { delay, systemClock } from '../../../runtime/clock.ts';
import { condition, hasReason, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { expectNothingLeft } from '../../support/agent/nothing-left.ts';
import { ordinaryDocument, startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);

describe('an agent that was killed', () => {
  const outlives: Partial<Assignment> = {
    options: { TerminateOnAgentExit: false },
    optionsDigest: optionsDigest({ TerminateOnAgentExit: false }),
  };

  it('leaves a VM running that outlives it, and the next agent hears its guest again', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment(outlives));
    const before = await first.until(uid, 'running', isRunning);
    await first.kill();
    await using second = await startCore(node);
    const after = await second.until(uid, 'adopted', isRunning);
    for (const member of ['runtimeID', 'startTime', 'restarts', 'documentDigest', 'guest'] as const) {
      expect(after[member], member).toEqual(before[member]);
    }
    await second.until(uid, 'the log goes on', (now) => now.guestLog.total > before.guestLog.total);
    second.supervisor.release(uid);
    await until('removed', () => second.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('ends when nothing is written to its journal any more', async () => {
    await using node = await startNode();
    const files = new FileJournal(nodeFileSystem, `${node.folder}/agent`);
    let underWay = 0;
    const journal: Journal = {
      load: () => files.load(),
      remove: (uid) => files.remove(uid),
      async write(record) {
        underWay++;
        if (record.trouble !== undefined) await delay(systemClock, 200);
        await files.write(record);
        underWay--;
      },
    };
    const first = await startCore(node, { journal, timeouts: { backOffMaximum: 3_600_000 } });
    await first.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    await first.until(uid, 'cleaned', (now) => now.phase === 'Failed');
    expect(underWay).toBe(1);
    await first.kill();
    expect(underWay).toBe(0);
  });

  it('starts no VM on a host that was off before the operator has assigned it again', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment());
    await first.until(uid, 'running', isRunning);
    await first.kill();
    await using second = await startCore(node, { hostStartedAt: 60_000 });
    await second.until(uid, 'known', (now) => now.phase !== 'Unknown' && now.phase !== 'Stopping');
    // Longer than a start takes.
    await delay(systemClock, 100);
    expect(await node.control.systems()).toEqual([]);
    await second.supervisor.assign(makeAssignment());
    await second.until(uid, 'running', isRunning);
    await second.kill();
    // The next agent of the same start of the host needs no operator.
    await using third = await startCore(node, { hostStartedAt: 60_500 });
    await third.until(uid, 'running', isRunning);
  });

  it('misses an exit, which the next agent reports', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment({ ...outlives, runStrategy: 'Once' }));
    await first.until(uid, 'running', isRunning);
    await first.kill();
    await node.control.endGuest(systemID, 'powerOff');
    await until('gone', async () => (await node.control.systems()).length === 0);
    await using second = await startCore(node);
    const after = await second.until(uid, 'judged', hasReason('Failed'));
    expect(after.lastExit).toMatchObject({ type: 'Unknown', message: expect.stringContaining('away') });
  });

  it.each([
    ['Always', 'again'],
    ['RerunOnFailure', 'again'],
    ['Once', 'AgentRestarted'],
  ] as const)('ends a VM that ends with its agent, and the run strategy decides: %s, %s', async (runStrategy, then) => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment({ runStrategy }));
    const before = await first.until(uid, 'running', isRunning);
    await first.kill();
    await using second = await startCore(node);
    const isThere = then === 'again' ? isRunning : hasReason(then);
    const after = await second.until(uid, then, isThere);
    expect(after.lastExit?.type).toBe('AgentExit');
    expect(after.runtimeID).not.toBe(before.runtimeID);
    expect(after.restarts).toBe(then === 'again' ? 1 : 0);
    if (then !== 'again') expect(condition(after, 'Stalled')?.status).toBe('True');
  });

  it('does not make a Once VM run twice when its journal is lost, because the status remembers the run', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment({ runStrategy: 'Once' }));
    const { startTime } = await first.until(uid, 'running', isRunning);
    await first.kill();
    await rm(`${node.folder}/agent`, { recursive: true });
    await using second = await startCore(node);
    await second.supervisor.assign(
      makeAssignment({ runStrategy: 'Once', remembered: { restarts: 0, ...(startTime && { startTime }) } }),
    );
    await second.until(uid, 'judged', hasReason('AgentRestarted'));
    expect((await node.control.visits()).filter(({ step }) => step === 'start')).toHaveLength(1);
  });

  it('continues the numbering of runs from the log on the node when its journal is lost', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment());
    await first.until(uid, 'logging', ({ guestLog }) => guestLog.total > 0);
    await first.kill();
    const folder = `${node.folder}/agent/vms/${uid}`;
    await rm(`${folder}/vm.json`);
    await appendFile(`${folder}/guest.log`, '7.41 of a run that the journal no longer knows\n');
    await using second = await startCore(node);
    await second.supervisor.assign(makeAssignment());
    await second.until(uid, 'running', isRunning);
    expect(await readFile(`${folder}/vm.json`, 'utf8')).toContain('\\"boot\\":8,');
  });

  it('leaves a system alone that no journal has, until the operator sends its assignments', async () => {
    await using node = await startNode();
    const stranger = await node.connect();
    const document = ordinaryDocument({ terminatesWithLastHandle: false });
    await (await stranger.backend.create(systemID, JSON.stringify(document))).start();
    await using core = await startCore(node);
    expect(core.observed(uid)).toMatchObject({ phase: 'Unknown' });
    expect((await node.control.system(systemID))?.state).toBe('Running');
    await stranger.close();
    await core.supervisor.assign(makeAssignment());
    const observed = await core.until(uid, 'running', isRunning);
    expect(observed.runtimeID).toBe((await node.control.system(systemID))?.runtimeId);
    expect(await node.control.systems()).toHaveLength(1);
  });

  it('is not misled by a system that disappears between being listed and being opened', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment());
    await first.until(uid, 'running', isRunning);
    await first.kill();
    await node.control.script({ at: 'open', fail: { hresult: '0x8037010e' } });
    const stranger = await node.connect();
    await until('gone', async () => (await node.control.systems()).length === 0);
    const again = await stranger.backend.create(systemID, JSON.stringify(ordinaryDocument()));
    await using second = await startCore(node);
    await again.close();
    await second.until(uid, 'running again', (now) => isRunning(now) && now.lastExit?.type === 'AgentExit');
  });

  it('makes the next agent wait for a slow answer instead of stopping a VM that outlives it', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(makeAssignment(outlives));
    const before = await first.until(uid, 'running', isRunning);
    await first.kill();
    const rule = await node.control.script({ at: 'open', stall: true });
    await using second = await startCore(node, { timeouts: { query: 50 } });
    await until('overdue', () => JSON.stringify(second.observed(uid)).includes('CallOverdue'));
    await node.control.release(rule);
    expect((await second.until(uid, 'adopted', isRunning)).runtimeID).toBe(before.runtimeID);
  });

  it('does not touch foreign compute systems', async () => {
    await using node = await startNode();
    const stranger = await node.connect();
    const document = { ...ordinaryDocument({ terminatesWithLastHandle: false }), Owner: 'somebody-else' };
    await stranger.backend.create(systemID, JSON.stringify(document));
    await using core = await startCore(node);
    expect(core.supervisor.uids()).toEqual([]);
  });
});
