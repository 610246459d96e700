// Failures in the life of a VM, and how the agent reports them, on a simulated node.
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { peekRecords } from '../../../agent/vm/journal.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { condition, hasReason, isReady, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { expectNothingLeft } from '../../support/agent/nothing-left.ts';
import { bootFolder, startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);

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

describe('failures', () => {
  it('a missing kernel stalls the VM with the text of the original, and other options repair it', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    const stalled = await core.until(uid, 'stalled', (now) => condition(now, 'Stalled') !== undefined);
    const text = `kernel: '${bootFolder}\\nothing' not found`;
    for (const type of ['Prepared', 'Ready', 'Stalled'] as const) {
      expect(condition(stalled, type), type).toMatchObject({ reason: 'InvalidOptions', message: text });
    }
    expect(stalled.phase).toBe('Failed');
    // The agent keeps checking whether the host was repaired. A check alone changes no report.
    const visits = async () => (await node.control.visits()).filter(({ step }) => step === 'processorTopology').length;
    const before = await visits();
    await until('looked again', async () => (await visits()) > before + 1);
    expect(core.observed(uid)).toEqual(stalled);
    await core.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    expect(core.observed(uid)).toEqual(stalled);
    await core.supervisor.assign(makeAssignment({ generation: 2 }));
    expect(condition(await core.until(uid, 'running', isRunning), 'Stalled')).toBeUndefined();
  });

  it('a stalled VM is still stalled after its agent was killed', async () => {
    await using node = await startNode();
    const first = await startCore(node, { timeouts: { backOffMaximum: 3_600_000 } });
    await first.supervisor.assign(makeAssignment({ options: { KernelFile: 'nothing' } }));
    const before = await first.until(
      uid,
      'stalled',
      (now) => condition(now, 'Stalled') !== undefined && now.phase === 'Failed',
    );
    await until('written', async () => (await peekRecords(nodeFileSystem, `${node.folder}/agent`))[0]?.trouble);
    await first.kill();
    await using second = await startCore(node);
    const after = await second.until(uid, 'recovered', (now) => now.phase !== 'Unknown' && now.phase !== 'Stopping');
    expect(after).toEqual(before);
  });

  it('a host without enough memory is tried again', async () => {
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
  ] as const)('a guest that stalls at %s is given up, and the message names the missing step', async (at, words) => {
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
    'a failed %s leaves nothing behind and is tried again',
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

  it('a create that returns late is terminated before anything else is created under its id', async () => {
    await using node = await startNode();
    const rule = await node.control.script({ at: 'create', stall: true });
    // The termination would make the creation return.
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

  it('a state that cannot be read does not stop a VM', async () => {
    await using node = await startNode();
    await using core = await startCore(node, { timeouts: { query: 50, liveness: 20 } });
    await core.supervisor.assign(makeAssignment());
    const running = await core.until(uid, 'running', isRunning);
    const asked = async () => (await node.control.visits()).filter(({ step }) => step === 'properties').length;
    // Counted before the rule is set: the only stalled call can arrive at once, and no other call follows it.
    const before = await asked();
    const rule = await node.control.script({ at: 'properties', stall: true });
    await until('asked', async () => (await asked()) > before);
    await node.control.release(rule);
    const released = await asked();
    await until('asked again', async () => (await asked()) > released + 1);
    expect(core.observed(uid)).toMatchObject({ phase: 'Running', runtimeID: running.runtimeID, restarts: 0 });
  });

  it('a broken bridge ends neither its VM nor another VM', async () => {
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

  it('a journal that cannot be written blocks starts, but not stops', async () => {
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

  it('a VM that could not start is no longer failed once it is halted', async () => {
    await using node = await startNode({ files: {} });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    const failed = await core.until(uid, 'failed', hasReason('InvalidOptions'));
    expect(failed.phase).toBe('Failed');
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Halted', generation: 2 }));
    const halted = await core.until(uid, 'halted', hasReason('Halted'));
    expect(halted.phase).toBe('Stopped');
  });

  it('a refused terminate is tried again', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await node.control.script({ at: 'terminate', fail: { hresult: '0x80070005' }, times: 2 });
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('a boot that is no longer wanted is aborted', async () => {
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
  ] as const)('reports the exit of a VM that ends while it boots: at %s by %s', async (at, guest, type, words) => {
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

  it('does not treat a power-off during the boot as completion', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ runStrategy: 'RerunOnFailure' }));
    await core.until(uid, 'running', isRunning);
    await node.control.script({ at: 'log', guest: 'powerOff' });
    await node.control.endGuest(systemID, 'crash');
    const again = await core.until(uid, 'again', (now) => isRunning(now) && now.restarts === 1);
    expect(again.lastExit?.type).toBe('GracefulExit');
  });

  it('a guest too old to outlive its agent does not boot, and the message names the version that can', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'log', guest: 'powerOff' });
    await using core = await startCore(node);
    const options = { TerminateOnAgentExit: false };
    await core.supervisor.assign(makeAssignment({ options }));
    const failed = await core.until(uid, 'failed', ({ startFailure }) => (startFailure?.count ?? 0) > 0);
    expect(condition(failed, 'Ready')?.message).toContain(
      'terminateOnAgentExit: false needs a guest image of hcsshim v0.15.0 (July 2026) or later',
    );
  });

  it('a value that HCS refuses stalls the VM at once, and the message has the answer of HCS', async () => {
    await using node = await startNode();
    await node.control.script({
      at: 'create',
      fail: { hresult: '0x80070057', message: 'The parameter is incorrect.' },
    });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    const stalled = await core.until(uid, 'stalled', (now) => condition(now, 'Stalled') !== undefined);
    const { reason, message = '' } = condition(stalled, 'Stalled') ?? {};
    expect(reason).toBe('DocumentRefused');
    expect(message).toContain('ERROR_INVALID_PARAMETER (0x80070057)');
    expect(message).toContain('most causes lie in the manifest');
    expect(stalled.startFailure?.count).toBe(1);
  });

  it.each<[string, RequestedOptions, string]>([
    ['is too long', { KernelBootOptions: `x=${'x'.repeat(3_000)}` }, 'the kernel reads only the first 2047'],
    ['ends early', { KernelBootOptions: 'quiet -- debug' }, 'the kernel gives init the arguments "debug'],
    ['has too many arguments', { ExecCommandLine: `/bin/gcs${' x'.repeat(40)}` }, 'Too many boot init vars'],
  ])('a guest whose command line %s does not boot, and its warning tells why', async (_what, options, told) => {
    await using node = await startNode();
    await using core = await startCore(node, { timeouts: { bootTimeout: 1_000 } });
    await core.supervisor.assign(makeAssignment({ options }));
    const failed = await core.until(uid, 'failed', ({ startFailure }) => (startFailure?.count ?? 0) > 0);
    expect(failed.warnings.filter((text) => text.includes('the guest does not boot'))).toEqual([
      expect.stringContaining(told),
    ]);
  });

  it('does not count a lost compute service as a failed boot', async () => {
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

  it('does not count a start without a compute service as a failed boot', async () => {
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

  it('takes a query of the host that finds no compute service for its end', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'processorTopology', fail: { hresult: '0x8037011e' } });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await until('lost', () => core.serviceLost);
    expect(core.observed(uid).startFailure).toBeUndefined();
  });

  it('reports that the compute service went away', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await node.control.disconnectClients();
    await until('lost', () => core.serviceLost);
    expect(core.observed(uid).phase).toBe('Unknown');
  });
});
