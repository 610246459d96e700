// The VMs of one agent on a simulated node: real sockets, a real guest at their other end, a real journal.
import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { FileJournal } from '../../../agent/vm/journal.ts';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import { condition, hasReason, isReady, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import {
  bootFolder,
  defaultHost,
  ordinaryDocument,
  startNode,
  type TestNode,
} from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);

async function expectNothingLeft(node: TestNode): Promise<void> {
  expect(await node.control.systems()).toEqual([]);
  expect(await readdir(`${node.folder}/agent/vms`)).toEqual([]);
  expect((await node.control.files()).map(({ path }) => path).filter((path) => path.includes('lcow'))).toEqual([]);
}

describe('a VM that is assigned', () => {
  it('runs, and tells how it got there', async () => {
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

  it('leaves what its guest said in a file of its folder', async () => {
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

  it('is removed at once when nobody knows it', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    core.supervisor.release(uid);
    expect(core.removed.has(uid)).toBe(true);
  });

  it('starts anew when it is assigned again before its teardown is done', async () => {
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
  ] as const)('%s after a %s: %s', async (runStrategy, how, then) => {
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

  it('restarts on request, once for each request', async () => {
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

  it.each([['OnRestart'], ['Recreate']] as const)('takes other options as %s says', async (updateStrategy) => {
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
  });

  it('a paused VM stays as it is', async () => {
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

describe('an agent that was killed', () => {
  const outlives: Partial<Assignment> = {
    options: { TerminateOnAgentExit: false },
    optionsDigest: optionsDigest({ TerminateOnAgentExit: false }),
  };

  it('finds a VM that may outlive it never stopped, and hears its guest again', async () => {
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

  it('tells of an exit while it was away', async () => {
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
  ] as const)('took a VM along; %s: %s', async (runStrategy, then) => {
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

  it('does not run a Once VM twice when its journal is lost, since the status remembers', async () => {
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

  it('counts its runs on from those that the log on the node has, when its journal is lost', async () => {
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

  it('leaves a system alone that no journal knows, until the operator speaks', async () => {
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

  it('is not misled by a system that goes between being listed and being opened', async () => {
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

  it('waits for a slow answer instead of stopping a VM that may outlive it', async () => {
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

  it('does not touch the systems of others', async () => {
    await using node = await startNode();
    const stranger = await node.connect();
    const document = { ...ordinaryDocument({ terminatesWithLastHandle: false }), Owner: 'somebody-else' };
    await stranger.backend.create(systemID, JSON.stringify(document));
    await using core = await startCore(node);
    expect(core.supervisor.uids()).toEqual([]);
  });
});

describe('what goes wrong', () => {
  it('a missing kernel stalls the VM with the original text, and other options mend it', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    const stalled = await core.until(uid, 'stalled', (now) => condition(now, 'Stalled') !== undefined);
    const text = `kernel: '${bootFolder}\\nothing' not found`;
    for (const type of ['Prepared', 'Ready', 'Stalled'] as const) {
      expect(condition(stalled, type), type).toMatchObject({ reason: 'InvalidOptions', message: text });
    }
    expect(stalled.phase).toBe('Failed');
    // The agent goes on looking, in case the host was mended; that alone is no news.
    const visits = async () => (await node.control.visits()).filter(({ step }) => step === 'processorTopology').length;
    const before = await visits();
    await until('looked again', async () => (await visits()) > before + 1);
    expect(core.observed(uid)).toEqual(stalled);
    await core.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    expect(core.observed(uid)).toEqual(stalled);
    await core.supervisor.assign(makeAssignment({ generation: 2 }));
    expect(condition(await core.until(uid, 'running', isRunning), 'Stalled')).toBeUndefined();
  });

  it('a VM that is stalled still is after its agent was killed', async () => {
    await using node = await startNode();
    const first = await startCore(node, { timeouts: { backOffMaximum: 3_600_000 } });
    await first.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    const before = await first.until(
      uid,
      'stalled',
      (now) => condition(now, 'Stalled') !== undefined && now.phase === 'Failed',
    );
    await until('written', async () => (await new FileJournal(`${node.folder}/agent`).load()).records[0]?.trouble);
    await first.kill();
    await using second = await startCore(node);
    const after = await second.until(uid, 'recovered', (now) => now.phase !== 'Unknown' && now.phase !== 'Stopping');
    expect(after).toEqual(before);
  });

  it('a host that lacks the memory is asked again', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options: { MemorySizeInMB: 100_000, AllowOvercommit: false } }));
    const observed = await core.until(uid, 'tried twice', (now) => (now.startFailure?.count ?? 0) >= 2);
    expect(condition(observed, 'Ready')?.reason).toBe('InsufficientResources');
    expect(condition(observed, 'Stalled')).toBeUndefined();
  });

  it.each([
    ['entropy', 'fetch entropy on port 1; it boots C:\\LinuxBootFiles\\'],
    ['log', 'connect its log'],
    ['negotiate', 'answer on its bridge'],
  ] as const)('a guest that stalls at %s is given up with what was waited for', async (at, words) => {
    await using node = await startNode();
    await node.control.script({ at, stall: true });
    await using core = await startCore(node, { timeouts: { bootTimeout: 300 } });
    await core.supervisor.assign(makeAssignment());
    const observed = await core.until(uid, 'timed out', hasReason('BootTimeout'));
    expect(condition(observed, 'Ready')?.message).toContain(words);
    await core.until(uid, 'running in the end', isRunning);
    expect(await node.control.systems()).toHaveLength(1);
  });

  it.each(['create', 'start', 'properties'] as const)(
    'a failure of %s leaves nothing and is tried again',
    async (at) => {
      await using node = await startNode();
      await node.control.script({ at, fail: { hresult: '0x80370114' } });
      await using core = await startCore(node);
      await core.supervisor.assign(makeAssignment());
      const failed = await core.until(uid, 'failed once', (now) => now.startFailure?.count === 1);
      expect(failed.startFailure?.retryAfter).toBeDefined();
      await core.until(uid, 'running', isRunning);
      expect(await node.control.systems()).toHaveLength(1);
    },
  );

  it('a create that comes back late is terminated before anything is made under its id', async () => {
    await using node = await startNode();
    const rule = await node.control.script({ at: 'create', stall: true });
    // It would make the creation return.
    await node.control.script({ at: 'terminate', fail: { hresult: '0x80070005' } });
    await using core = await startCore(node, { timeouts: { create: 50, exit: 3_600_000 } });
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'draining', hasReason('CallOverdue'));
    const steps = async () => (await node.control.visits()).map(({ step }) => step);
    await until('refused', async () => (await steps()).includes('terminate'));
    expect((await steps()).filter((step) => step === 'create')).toHaveLength(1);
    await node.control.release(rule);
    await core.until(uid, 'running', isRunning);
    expect((await steps()).filter((step) => step === 'terminate')).toHaveLength(2);
    expect(await node.control.systems()).toHaveLength(1);
  });

  it('a state that cannot be read is no reason to stop a VM', async () => {
    await using node = await startNode();
    await using core = await startCore(node, { timeouts: { query: 50, liveness: 20 } });
    await core.supervisor.assign(makeAssignment());
    const running = await core.until(uid, 'running', isRunning);
    const asked = async () => (await node.control.visits()).filter(({ step }) => step === 'properties').length;
    // Counted before the rule: the only call that stalls may come at once, and no other follows it.
    const before = await asked();
    const rule = await node.control.script({ at: 'properties', stall: true });
    await until('asked', async () => (await asked()) > before);
    await node.control.release(rule);
    const released = await asked();
    await until('asked again', async () => (await asked()) > released + 1);
    expect(core.observed(uid)).toMatchObject({ phase: 'Running', runtimeID: running.runtimeID, restarts: 0 });
  });

  it('a bridge that breaks is not the end of the VM, and nothing to another VM', async () => {
    await using node = await startNode();
    const other = randomUUID();
    const changes: string[] = [];
    const listener = { changed: (changed: string) => changes.push(changed), removed: () => {} };
    await using core = await startCore(node, { listener });
    await core.supervisor.assign(makeAssignment());
    await core.supervisor.assign(makeAssignment({ uid: other, name: 'other' }));
    const before = await core.until(uid, 'running', isRunning);
    await core.until(other, 'running', isRunning);
    changes.length = 0;
    const rule = await node.control.script({ at: 'negotiate', stall: true });
    await node.control.dropBridge(systemID);
    await core.until(uid, 'lost', hasReason('GuestConnectionLost'));
    expect(isReady(core.observed(other))).toBe(true);
    await node.control.release(rule);
    const after = await core.until(uid, 'connected again', isRunning);
    expect(after.runtimeID).toBe(before.runtimeID);
    expect(new Set(changes)).toEqual(new Set([uid]));
  });

  it('a journal that cannot be written blocks starting, but not stopping', async () => {
    await using node = await startNode();
    const journal = new FailingJournal();
    await using core = await startCore(node, { journal });
    journal.fails = true;
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'blocked', hasReason('JournalUnwritable'));
    expect(await node.control.visits()).not.toContainEqual(expect.objectContaining({ step: 'create' }));
    journal.fails = false;
    await core.until(uid, 'running', isRunning);
    journal.fails = true;
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Halted' }));
    await core.until(uid, 'halted', hasReason('Halted'));
    expect(await node.control.systems()).toEqual([]);
  });

  it('a terminate that is refused is tried again', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await node.control.script({ at: 'terminate', fail: { hresult: '0x80070005' }, times: 2 });
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('a boot that is no longer wanted is cut short', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'entropy', stall: true });
    await using core = await startCore(node, { timeouts: { bootTimeout: 60_000 } });
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'starting', (now) => now.phase === 'Starting');
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it.each([
    ['entropy', 'crash', 'UnexpectedExit', 'status 0xc0370106'],
    ['bridge', 'panic', 'UnexpectedExit', 'status 0xc0370106'],
    ['log', 'powerOff', 'GracefulExit', 'the guest powered off'],
  ] as const)('keeps how a VM ended that ended while it booted: at %s by %s', async (at, guest, type, words) => {
    await using node = await startNode();
    await node.control.script({ at, guest });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ runStrategy: 'RerunOnFailure' }));
    const ended = await core.until(uid, 'ended', ({ lastExit }) => lastExit !== undefined);
    expect(ended.lastExit).toMatchObject({ type, message: expect.stringContaining(words) });
    expect(ended.lastExit?.message).toContain('while it booted');
    const running = await core.until(uid, 'running', isRunning);
    expect(running.lastExit).toEqual(ended.lastExit);
  });

  it('does not take a power-off while a VM boots for its completion', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ runStrategy: 'RerunOnFailure' }));
    await core.until(uid, 'running', isRunning);
    await node.control.script({ at: 'log', guest: 'powerOff' });
    await node.control.endGuest(systemID, 'crash');
    const again = await core.until(uid, 'again', (now) => isRunning(now) && now.restarts === 1);
    expect(again.lastExit?.type).toBe('GracefulExit');
  });

  it('does not book a lost compute service as a failed boot', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'entropy', stall: true });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'starting', (now) => now.phase === 'Starting');
    await node.control.disconnectClients();
    await until('lost', () => core.serviceLost);
    expect(core.observed(uid).startFailure).toBeUndefined();
    expect(core.observed(uid).lastExit).toBeUndefined();
  });

  it('does not book a start that finds no compute service as a failed boot', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'start', fail: { hresult: '0x8037011e' } });
    const booked: unknown[] = [];
    await using core = await startCore(node, {
      listener: { changed: (changed) => booked.push(core.observed(changed).startFailure), removed: () => {} },
    });
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'lost', ({ phase }) => phase === 'Unknown');
    expect(booked.filter((each) => each !== undefined)).toEqual([]);
  });

  it('says when the compute service went away', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await node.control.disconnectClients();
    await until('lost', () => core.serviceLost);
    expect(core.observed(uid).phase).toBe('Unknown');
  });
});

describe('a confidential VM', () => {
  const files = {
    ...defaultHost.files,
    [`${bootFolder}\\kernel.vmgs`]: 4096,
    [`${bootFolder}\\rootfs.vhd`]: 8192,
  };
  const policy = Buffer.from('package policy').toString('base64');
  const options = { SecurityPolicy: policy, SecurityPolicyEnabled: true };

  it('gets its boot files staged, and they go with it', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    await mkdir(`${node.folder}/agent`, { recursive: true });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(uid, 'running', isRunning);
    expect(observed.policyDigest).toBeDefined();
    const staged = (await node.control.files()).map(({ path }) => path).filter((path) => path.includes(uid));
    expect(staged).toHaveLength(2);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('is sent the policy with what the default boot folder has of reference measurements', async () => {
    const reference = `${bootFolder}\\reference_info.cose`;
    await using node = await startNode({ files: { ...files, [reference]: 100 }, isolation: ['SNP'] });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    await core.until(uid, 'running', isRunning);
    const sent = (await node.control.system(systemIdOf(uid)))?.guest;
    expect(sent?.securityPolicy).toBe(policy);
    expect(sent?.uvmReference).toBe(Buffer.alloc(100, reference.toLowerCase()).toString('base64'));
    expect(sent?.uvmHashEnvelopeReference).toBeUndefined();
  });

  it('stalls with the words of a guest that refuses the policy, and boots with one that it takes', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    const words = 'Security policy digest doesnt match HostData provided in launch document';
    const rule = await node.control.script({ at: 'guestModify', fail: { message: words }, times: 'always' });
    await using core = await startCore(node, { timeouts: { backOffMaximum: 600_000 } });
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(
      uid,
      'refused',
      (each) => hasReason('PolicyRefused')(each) && each.phase === 'Failed',
    );
    expect(condition(observed, 'Stalled')).toMatchObject({ status: 'True', reason: 'PolicyRefused' });
    expect(condition(observed, 'Stalled')?.message).toBe(
      `the guest refused the security policy: guest RPC failure: ${words}`,
    );
    expect((await node.control.visits()).filter(({ step }) => step === 'create')).toHaveLength(1);
    await node.control.release(rule);
    const other = { ...options, SecurityPolicy: Buffer.from('package other').toString('base64') };
    await core.supervisor.assign(makeAssignment({ generation: 2, options: other }));
    await core.until(uid, 'running', isRunning);
    expect((await node.control.system(systemIdOf(uid)))?.guest?.securityPolicy).toBe(other.SecurityPolicy);
  });

  it('does not start while its reference measurements cannot be read', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    await node.control.script({ at: 'read', fail: { message: 'Access is denied.' }, times: 3 });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(uid, 'unreadable', hasReason('HostQueryFailed'));
    expect(condition(observed, 'Ready')?.message).toContain('uvmReferenceInfoFile cannot be read: Access is denied.');
    await core.until(uid, 'running', isRunning);
  });

  it('leaves nothing when a copy or a grant fails, and never boots without isolation', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    await node.control.script({ at: 'grant', fail: { message: 'Access is denied.' }, times: 'always' });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(uid, 'failed', hasReason('StagingFailed'));
    expect(condition(observed, 'Ready')?.message).toContain('failed to grant VM group access ALL: Access is denied.');
    expect(await node.control.visits()).not.toContainEqual(expect.objectContaining({ step: 'create' }));
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });
});

class FailingJournal {
  fails = false;

  load() {
    return Promise.resolve({ records: [], quarantined: [] });
  }

  write(): Promise<void> {
    return this.fails ? Promise.reject(new Error('no space left on device')) : Promise.resolve();
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }
}
