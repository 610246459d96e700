// Resources that one VM of a host uses at a time: VMs of two namespaces on a simulated node, with an agent that is
// killed.
import { randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { allowList } from '../../../agent/preparation/allow-list.ts';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { type AgentCore, condition, hasReason, isReady, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment } from '../../support/agent/assignments.ts';
import { defaultHost, startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const [a, b] = [randomUUID(), randomUUID()];
const pipe = { ConsolePipe: '\\\\.\\pipe\\console' };
const samePipe = { ConsolePipe: '\\\\.\\PIPE\\Console' };
const disk = (path: string, readOnly = false) => ({ name: 'data', path, readOnly });
const data = { Disks: [disk('C:\\disks\\data.vhd')] };
const outlives = { TerminateOnAgentExit: false };
const images = { BootFilesPath: 'C:\\boot', PreferredRootFSType: 'VHD' as const };
const extra = [
  'C:\\team-a\\data.vhd',
  'C:\\disks\\other.vhd',
  'C:\\boot\\vmlinux',
  'C:\\boot\\kernel',
  'C:\\boot\\rootfs.vhd',
];
const host = { files: { ...defaultHost.files, ...Object.fromEntries(extra.map((path) => [path, 4096])) } };
/** Long periods, so that no periodic check can help a waiting VM. */
const patient = { timeouts: { backOffMaximum: 3_600_000, changeRetry: 3_600_000, liveness: 3_600_000 } };

const generations = new Map<string, number>();

async function want(core: AgentCore, uid: string, options: RequestedOptions, changes: Partial<Assignment> = {}) {
  const generation = (generations.get(uid) ?? 0) + 1;
  generations.set(uid, generation);
  const [namespace, name] = uid === a ? ['team-a', 'first'] : ['team-b', 'second'];
  await core.supervisor.assign(makeAssignment({ uid, namespace, name, options, generation, ...changes }));
}

async function run(core: AgentCore, uid: string, options: RequestedOptions) {
  await want(core, uid, options);
  return await core.until(uid, 'running', (now) => isRunning(now) && now.optionsDigest === optionsDigest(options));
}

async function untilWaiting(core: AgentCore, uid: string, reason: string) {
  const waiting = await core.until(uid, 'waiting', hasReason(reason));
  expect(condition(waiting, 'Stalled')).toBeUndefined();
  expect(condition(waiting, 'Reconciling')).toMatchObject({ status: 'True', reason });
  expect(JSON.stringify(waiting)).not.toMatch(/team-a|first/);
  expect(waiting.startFailure).toBeUndefined();
  return waiting;
}

const exists = async (node: TestNode, uid: string) => (await node.control.system(systemIdOf(uid))) !== undefined;

describe('a console pipe', () => {
  it('belongs to one VM; another VM waits, and starts when the pipe is free', async () => {
    await using node = await startNode();
    await using core = await startCore(node, patient);
    await run(core, a, pipe);
    await want(core, b, samePipe);
    const waiting = await untilWaiting(core, b, 'PipeInUse');
    expect(waiting).toMatchObject({ phase: 'Staging', restarts: 0 });
    expect(condition(waiting, 'Ready')?.message).toBe(
      'console.pipe: \\\\.\\PIPE\\Console is used by another VM of this host',
    );
    expect(await exists(node, b)).toBe(false);
    await want(core, a, pipe, { runStrategy: 'Halted' });
    const second = await core.until(b, 'running', isRunning);
    expect(condition(second, 'Ready')?.reason).toBe('Running');
    expect(second.guestLog.head.length).toBeGreaterThan(0);
    expect(await exists(node, a)).toBe(false);
    // The same in the other direction.
    await want(core, a, pipe);
    await core.until(a, 'waiting', hasReason('PipeInUse'));
    core.supervisor.release(b);
    await core.until(a, 'running', isRunning);
  });

  it('is named with the VM that uses it only within one namespace', async () => {
    await using node = await startNode();
    await using core = await startCore(node, patient);
    await run(core, a, pipe);
    await want(core, b, pipe, { namespace: 'team-a' });
    const waiting = await core.until(b, 'waiting', hasReason('PipeInUse'));
    expect(condition(waiting, 'Ready')?.message).toContain('is used by the LinuxUtilityVM first');
  });

  it('stays with a VM that crashes, restarts, or loses its agent', async () => {
    await using node = await startNode();
    const first = await startCore(node, patient);
    await run(first, a, pipe);
    await want(first, b, pipe);
    await untilWaiting(first, b, 'PipeInUse');
    await node.control.endGuest(systemIdOf(a), 'crash');
    await first.until(a, 'up again', (now) => isRunning(now) && now.restarts === 1);
    await want(first, a, pipe, { restartedAt: 'now' });
    await first.until(a, 'restarted', (now) => isRunning(now) && now.restarts === 2);
    await untilWaiting(first, b, 'PipeInUse');
    await first.kill();
    await using second = await startCore(node, patient);
    await second.until(a, 'up again', (now) => isRunning(now) && now.restarts === 3);
    await untilWaiting(second, b, 'PipeInUse');
  });

  it('stays with a VM that outlives its agent', async () => {
    await using node = await startNode();
    const first = await startCore(node, patient);
    const { runtimeID } = await run(first, a, { ...pipe, ...outlives });
    await first.kill();
    await using second = await startCore(node, patient);
    await want(second, b, pipe);
    await untilWaiting(second, b, 'PipeInUse');
    expect(await second.until(a, 'adopted', isRunning)).toMatchObject({ runtimeID });
    second.supervisor.release(a);
    await second.until(b, 'running', isRunning);
  });

  it('is not free before HCS has ended the VM', async () => {
    await using node = await startNode();
    await using core = await startCore(node, { timeouts: { ...patient.timeouts, terminate: 20 } });
    await run(core, a, pipe);
    const rule = await node.control.script({ at: 'terminate', stall: true });
    await want(core, a, pipe, { runStrategy: 'Halted' });
    await core.until(a, 'overdue', (now) => condition(now, 'Ready')?.reason !== 'Running');
    await want(core, b, pipe);
    await untilWaiting(core, b, 'PipeInUse');
    await node.control.release(rule);
    await core.until(b, 'running', isRunning);
    expect(await exists(node, a)).toBe(false);
  });

  it('is not given out while a VM runs whose journal was lost', async () => {
    await using node = await startNode();
    const first = await startCore(node, patient);
    await run(first, a, { ...pipe, ...outlives });
    await first.kill();
    const [file] = await readdir(`${node.folder}/agent/vms`);
    await writeFile(`${node.folder}/agent/vms/${file}/vm.json`, '{');
    await using second = await startCore(node, patient);
    await want(second, b, { ConsolePipe: '\\\\.\\pipe\\another' });
    const waiting = await untilWaiting(second, b, 'PipeInUse');
    expect(condition(waiting, 'Ready')?.message).toContain('whose journal was lost');
    second.supervisor.release(a);
    await second.until(b, 'running', isRunning);
  });

  it('can be swapped', async () => {
    await using node = await startNode();
    await using core = await startCore(node, patient);
    const other = { ConsolePipe: '\\\\.\\pipe\\other' };
    await run(core, a, pipe);
    await run(core, b, other);
    await want(core, a, other, { updateStrategy: 'Recreate' });
    await want(core, b, pipe, { updateStrategy: 'Recreate' });
    for (const [uid, options] of [
      [a, other],
      [b, pipe],
    ] as const)
      await core.until(uid, 'swapped', (now) => isRunning(now) && now.optionsDigest === optionsDigest(options));
  });

  it('is not read by a reader who connected while it belonged to another VM', async () => {
    await using node = await startNode();
    await using core = await startCore(node, patient);
    await run(core, a, pipe);
    await want(core, b, pipe);
    const { signal } = core.supervisor.machine(a)?.access.console ?? {};
    await want(core, a, pipe, { restartedAt: 'now' });
    await core.until(a, 'restarted', (now) => isRunning(now) && now.restarts === 1);
    expect(signal?.aborted).toBe(false);
    await want(core, a, pipe, { runStrategy: 'Halted' });
    await core.until(b, 'running', isRunning);
    expect(signal?.aborted).toBe(true);
    expect(core.supervisor.machine(b)?.access.console.signal.aborted).toBe(false);
  });

  it('is no longer waited for by a VM that stopped asking for it', async () => {
    await using node = await startNode();
    await using core = await startCore(node, patient);
    await run(core, a, pipe);
    await want(core, b, pipe);
    await untilWaiting(core, b, 'PipeInUse');
    await want(core, b, pipe, { runStrategy: 'Halted' });
    await core.until(b, 'halted', (now) => isReady(now) && now.phase === 'Stopped');
    await want(core, a, pipe, { runStrategy: 'Halted' });
    await core.until(a, 'halted', (now) => isReady(now) && now.phase === 'Stopped');
    await want(core, b, {});
    await core.until(b, 'running', isRunning);
    await want(core, a, pipe);
    await core.until(a, 'running', isRunning);
  });
});

describe('a writable disk', () => {
  it.each([
    ['to write to it', data, { Disks: [disk('c:\\DISKS\\data.vhd')] }],
    ['to read it', data, { Disks: [disk('C:\\disks\\data.vhd', true)] }],
    ['to write to a disk that the first one reads', { Disks: [disk('C:\\disks\\data.vhd', true)] }, data],
    ['to boot from it', { Disks: [disk('C:\\boot\\rootfs.vhd')] }, images],
    ['to write to a disk that the first one boots from', images, { Disks: [disk('C:\\boot\\rootfs.vhd')] }],
  ])('belongs to one VM; another VM that starts waits %s', async (_, has, wants) => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    await run(core, a, has);
    await want(core, b, wants);
    await untilWaiting(core, b, 'DiskInUse');
    expect(await exists(node, b)).toBe(false);
    core.supervisor.release(a);
    await core.until(b, 'running', (now) => isRunning(now) && now.optionsDigest === optionsDigest(wants));
  });

  it('can be shared by VMs that only read it', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    for (const uid of [a, b]) await run(core, uid, { Disks: [disk('C:\\disks\\data.vhd', true)] });
  });

  it('is not attached to a running VM while another VM uses it, until it is detached there', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    await run(core, a, data);
    const { runtimeID } = await run(core, b, {});
    await want(core, b, { ...data, MemorySizeInMB: 2048 });
    const waiting = await untilWaiting(core, b, 'DiskInUse');
    expect(waiting).toMatchObject({ phase: 'Running', runtimeID, memorySizeInMB: 2048 });
    expect((await node.control.system(systemIdOf(b)))?.disks).toEqual({});
    expect((await node.control.files()).find(({ path }) => path.endsWith('data.vhd'))?.grantedTo).toEqual([
      systemIdOf(a),
    ]);
    await run(core, a, {});
    const after = await core.until(b, 'attached', (now) => isReady(now) && now.devices?.scsi.length === 1);
    expect(after).toMatchObject({ runtimeID });
    expect((await node.control.files()).find(({ path }) => path.endsWith('data.vhd'))?.grantedTo).toEqual([
      systemIdOf(b),
    ]);
  });

  it('is free when the running VM that waited for it no longer asks for it', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    await run(core, a, data);
    await run(core, b, {});
    await want(core, b, data);
    await untilWaiting(core, b, 'DiskInUse');
    await want(core, b, {});
    await core.until(b, 'without', isReady);
    await run(core, a, {});
    await run(core, a, data);
  });

  it('can be swapped by two running VMs', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    const other = { Disks: [disk('C:\\disks\\other.vhd')] };
    await run(core, a, data);
    await run(core, b, other);
    await Promise.all([want(core, a, other), want(core, b, data)]);
    for (const [uid, options] of [
      [a, other],
      [b, data],
    ] as const)
      await core.until(uid, 'swapped', (now) => isRunning(now) && now.optionsDigest === optionsDigest(options));
  });

  it('stays with the VM while the guest does not release it', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { backOffMaximum: 3_600_000 } });
    await run(core, a, data);
    await run(core, b, {});
    const rule = await node.control.script({ at: 'guestModify', times: 'always', fail: { message: 'in use' } });
    await want(core, a, {});
    await core.until(a, 'refused', hasReason('DiskFailed'));
    await want(core, b, data);
    await untilWaiting(core, b, 'DiskInUse');
    await node.control.release(rule);
    await core.until(b, 'attached', (now) => isReady(now) && now.devices?.scsi.length === 1);
  });

  it('is found again by the next agent, whether attached or half attached', async () => {
    await using node = await startNode(host);
    const first = await startCore(node, patient);
    await run(first, a, outlives);
    await node.control.script({ at: 'guestModify', stall: true });
    await want(first, a, { ...outlives, ...data });
    await until('asked', async () => (await node.control.visits()).some(({ step }) => step === 'guestModify'));
    await first.vanish();
    await until('run-down', async () => (await node.control.system(systemIdOf(a)))?.handles === 0);
    await using second = await startCore(node, patient);
    await want(second, b, data);
    await untilWaiting(second, b, 'DiskInUse');
    await node.control.release();
    await second.until(a, 'attached', (now) => isReady(now) && now.devices?.scsi.length === 1);
    await untilWaiting(second, b, 'DiskInUse');
  });

  it('is not revealed to, nor taken from, a VM that is not allowed to use it', async () => {
    await using node = await startNode(host);
    const allowed = allowList({ paths: ['C:\\{namespace}', 'C:\\disks'], pipes: [], devices: [] });
    await using core = await startCore(node, { ...patient, allowed });
    const mine = { Disks: [disk('C:\\team-a\\data.vhd')] };
    const tools = { name: 'tools', path: 'C:\\disks\\other.vhd', readOnly: false };
    const wants = { Disks: [...mine.Disks, tools] };
    await run(core, b, {});
    // It makes no difference whether the disk is free or in use, and the allowed disks are attached in both cases.
    await want(core, b, wants);
    const whileFree = await core.until(b, 'refused', hasReason('PathNotAllowed'));
    await run(core, a, mine);
    await want(core, b, { ...wants, MemorySizeInMB: 2048 });
    const whileUsed = await core.until(
      b,
      'refused',
      (now) => now.memorySizeInMB === 2048 && hasReason('PathNotAllowed')(now),
    );
    expect(condition(whileUsed, 'Ready')).toEqual(condition(whileFree, 'Ready'));
    expect((await node.control.system(systemIdOf(b)))?.disks).toEqual({ '0:0': tools.path });
  });

  it('is refused twice in one VM, which stalls', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    await want(core, a, { Disks: [disk('C:\\disks\\data.vhd'), { ...disk('c:/disks/DATA.vhd'), name: 'again' }] });
    const refused = await core.until(a, 'refused', hasReason('InvalidOptions'));
    expect(condition(refused, 'Stalled')?.status).toBe('True');
    expect(await exists(node, a)).toBe(false);
    await run(core, a, data);
  });
});

describe('two VMs that ask at the same time', () => {
  it('end as one that runs and one that waits, every time', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, patient);
    const both = { ...pipe, ...data };
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([want(core, a, both), want(core, b, both)]);
      const winner = await until('one runs', () => [a, b].find((uid) => isRunning(core.observed(uid))));
      const loser = winner === a ? b : a;
      await core.until(loser, 'waiting', hasReason('PipeInUse'));
      expect(await exists(node, loser)).toBe(false);
      for (const uid of [loser, winner]) await want(core, uid, both, { runStrategy: 'Halted' });
      for (const uid of [a, b]) await core.until(uid, 'halted', (now) => isReady(now) && now.phase === 'Stopped');
    }
  });
});
