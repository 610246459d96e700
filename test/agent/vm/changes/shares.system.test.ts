// Shares of a running VM on a simulated node, which refuses a number that was used before and loses files as a real
// guest does.
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../../agent/node/system-id.ts';
import { allowList } from '../../../../agent/preparation/allow-list.ts';
import { optionsDigest } from '../../../../protocol/digest.ts';
import type { RequestedOptions } from '../../../../protocol/options.ts';
import {
  type AgentCore,
  condition,
  hasReason,
  isReady,
  isRunning,
  startCore,
} from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { defaultHost, startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import { until } from '../../../support/until.ts';

const systemID = systemIdOf(uid);
const work = { name: 'work', path: 'C:\\shares\\work', readOnly: false, guestPath: '/mnt/work' };
const config = { name: 'config', path: 'C:\\shares\\config', readOnly: true, guestPath: '/mnt/config' };
const data = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false, mountPath: '/mnt/data' };
const host = {
  files: {
    ...defaultHost.files,
    'C:\\shares\\work\\a.txt': 1,
    'C:\\shares\\config\\b.txt': 1,
    'C:\\shares\\work\\disk.vhd': 4096,
  },
};
const outlives = { TerminateOnAgentExit: false };
const otherUid = uid.replace(/.$/, (last) => (last === '0' ? '1' : '0'));

let generation = 1;

async function want(core: AgentCore, options: RequestedOptions, of = uid): Promise<void> {
  generation += 1;
  await core.supervisor.assign(makeAssignment({ uid: of, options, generation }));
}

async function untilApplied(core: AgentCore, options: RequestedOptions, of = uid) {
  const digest = optionsDigest(options);
  return await core.until(of, 'applied', (now) => isRunning(now) && isReady(now) && now.optionsDigest === digest);
}

async function system(node: TestNode) {
  const found = await node.control.system(systemID);
  if (found === undefined) throw new Error('the VM does not exist');
  return found;
}

async function mountsOf(node: TestNode) {
  return (await system(node)).guest?.mounts;
}

async function run(core: AgentCore, ...args: readonly string[]) {
  const machine = core.supervisor.machine(uid);
  if (machine === undefined) throw new Error('the agent does not know the VM');
  const nothing = { stdin: false, stdout: false, stderr: false };
  return await machine.access.execute({ args }, nothing, new AbortController().signal);
}

async function visitsOf(node: TestNode, step: string): Promise<number> {
  return (await node.control.visits()).filter((visit) => visit.step === step).length;
}

/** Every file of the image, and of the host's disks and folders, still exists. */
async function expectNothingLost(node: TestNode): Promise<void> {
  expect((await system(node)).guest?.files).toEqual([
    '/etc/hosts',
    '/usr/bin/tool',
    '/opt/keep/file',
    '/var/lib/state',
  ]);
  for (const files of Object.values(await node.control.diskFiles())) expect(files).toContain('kept');
}

describe('shares', () => {
  it('are mounted after the boot, change while the VM runs, and never use a number again', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, { Shares: [work, config] });
    const booted = await untilApplied(core, { Shares: [work, config] });
    expect(booted.devices?.shares).toEqual([
      { name: 'work', path: work.path, guestPath: '/mnt/work', readOnly: false },
      { name: 'config', path: config.path, guestPath: '/mnt/config', readOnly: true },
    ]);
    expect(await mountsOf(node)).toEqual({ '/mnt/work': 'share:0', '/mnt/config': 'share:1' });
    const moved = { ...work, guestPath: '/mnt/elsewhere' };
    await want(core, { Shares: [config, moved], Disks: [data] });
    const { restarts, devices } = await untilApplied(core, { Shares: [config, moved], Disks: [data] });
    expect(restarts).toBe(0);
    expect(devices?.shares?.map(({ name }) => name)).toEqual(['config', 'work']);
    expect(await system(node)).toMatchObject({
      shares: { '1': config.path, '2': work.path },
      guest: { mounts: { '/mnt/config': 'share:1', '/mnt/elsewhere': 'share:2', '/mnt/data': '0:0' } },
    });
    await want(core, {});
    expect((await untilApplied(core, {})).devices).not.toHaveProperty('shares');
    expect((await system(node)).shares).toEqual({});
    await expectNothingLost(node);
  });

  it('let the guest write to the host only if they are writable', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, { Shares: [work, config] });
    await untilApplied(core, { Shares: [work, config] });
    expect(await (await run(core, 'sh', '-c', 'echo new > /mnt/work/written')).exitCode).toBe(0);
    expect(await (await run(core, 'sh', '-c', 'echo new > /mnt/config/written')).exitCode).not.toBe(0);
    expect(await node.control.diskFiles()).toEqual({ [work.path]: ['kept', 'written'], [config.path]: ['kept'] });
  });

  it.each<[string, RequestedOptions, string]>([
    ['outside the allowed folders', { Shares: [{ ...work, path: 'D:\\x' }] }, 'PathNotAllowed'],
    ['over a folder of the guest', { Shares: [{ ...work, guestPath: '/etc' }] }, 'PathNotAllowed'],
    ['at the path of a disk', { Shares: [{ ...work, guestPath: '/mnt/data' }], Disks: [data] }, 'PathNotAllowed'],
    ['of a file', { Shares: [{ ...work, path: 'C:\\shares\\work\\a.txt' }] }, 'PathNotAllowed'],
    ['that are writable with disableWritable', { Shares: [work], NoWritableFileShares: true }, 'InvalidOptions'],
    ['without a guest connection', { Shares: [config], UseGuestConnection: false }, 'InvalidOptions'],
    ['of a confidential VM', { Shares: [config], SecurityPolicy: 'cA==' }, 'InvalidOptions'],
    [
      'with a disk of the VM below them',
      { Shares: [work], Disks: [{ name: 'in', path: 'C:\\shares\\WORK\\disk.vhd', readOnly: true }] },
      'InvalidOptions',
    ],
  ])('%s are refused before anything is created', async (_, options, reason) => {
    await using node = await startNode(host);
    await using core = await startCore(node, { allowed: allowList({ paths: ['C:\\'], pipes: [], devices: [] }) });
    await want(core, options);
    const refused = await core.until(uid, 'refused', (now) => condition(now, 'Stalled')?.status === 'True');
    expect(condition(refused, 'Stalled')?.reason).toBe(reason);
    expect(await node.control.system(systemID)).toBeUndefined();
  });

  it('must not lead to a folder that is not allowed, nor be writable where reading is allowed', async () => {
    await using node = await startNode({ ...host, links: { 'C:\\shares\\out': 'C:\\secret' } });
    const allowed = allowList({ paths: ['C:\\shares', 'C:\\shares\\config:ro'], pipes: [], devices: [] });
    await using core = await startCore(node, { allowed });
    await want(core, { Shares: [config] });
    await untilApplied(core, { Shares: [config] });
    for (const path of ['C:\\shares\\config', 'C:\\shares', 'C:\\secret']) {
      await want(core, { Shares: [config, { ...work, path }] });
      const refused = await core.until(uid, 'refused', hasReason('PathNotAllowed'));
      expect(refused.phase).toBe('Running');
      await want(core, { Shares: [config] });
      await untilApplied(core, { Shares: [config] });
    }
  });

  it('that the guest does not mount are taken back, and tried again under another number', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 30 } });
    await want(core, {});
    await untilApplied(core, {});
    await node.control.script({ at: 'guestModify', fail: { message: 'no' } });
    await want(core, { Shares: [work] });
    await untilApplied(core, { Shares: [work] });
    expect(await system(node)).toMatchObject({
      shares: { '1': work.path },
      guest: { mounts: { '/mnt/work': 'share:1' } },
    });
    await expectNothingLost(node);
  });

  it('are not mounted over files of the guest, nor unmounted where nothing is mounted', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 30 } });
    await want(core, { Shares: [{ ...work, guestPath: '/opt/keep' }, config] });
    const failed = await core.until(uid, 'refused', hasReason('ShareFailed'));
    expect(condition(failed, 'Ready')?.message).toContain('share work at /opt/keep: the guest has files there');
    await want(core, { Shares: [config] });
    await untilApplied(core, { Shares: [config] });
    expect(await (await run(core, 'umount', '/mnt/config')).exitCode).toBe(0);
    expect(await (await run(core, 'sh', '-c', 'echo mine > /mnt/config/written')).exitCode).toBe(0);
    await want(core, {});
    await untilApplied(core, {});
    expect((await system(node)).guest?.files).toContain('/mnt/config/written');
    expect((await system(node)).shares).toEqual({});
  });

  it('that the guest still uses stay', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 50 } });
    await want(core, { Shares: [work] });
    await untilApplied(core, { Shares: [work] });
    await run(core, 'tail', '-f', '/mnt/work/kept');
    await want(core, {});
    await core.until(uid, 'in use', hasReason('ShareFailed'));
    expect(await system(node)).toMatchObject({
      shares: { '0': work.path },
      guest: { mounts: { '/mnt/work': 'share:0' } },
    });
    await expectNothingLost(node);
  });
});

describe('a share whose mount is in doubt', () => {
  it('is kept by the next agent if the guest has it', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await want(first, outlives);
    await untilApplied(first, outlives);
    await node.control.script({ at: 'guestModify', stall: true });
    await want(first, { ...outlives, Shares: [work] });
    await until('asked', async () => (await visitsOf(node, 'guestModify')) > 0);
    await first.vanish();
    await until('run-down', async () => (await system(node)).handles === 0);
    await node.control.release();
    await until('mounted', async () => (await mountsOf(node))?.['/mnt/work'] === 'share:0');
    await using second = await startCore(node);
    await untilApplied(second, { ...outlives, Shares: [work] });
    expect(await system(node)).toMatchObject({
      shares: { '0': work.path },
      guest: { mounts: { '/mnt/work': 'share:0' } },
    });
    expect(await visitsOf(node, 'guestModify')).toBe(1);
    await want(second, outlives);
    await untilApplied(second, outlives);
    await expectNothingLost(node);
  });

  it('is removed and added again at its path if the guest was not asked yet', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await want(first, outlives);
    const { runtimeID } = await untilApplied(first, outlives);
    await node.control.script({ at: 'modify', stall: true });
    await want(first, { ...outlives, Shares: [work] });
    await until('asked', async () => (await visitsOf(node, 'modify')) > 0);
    await first.vanish();
    await until('run-down', async () => (await system(node)).handles === 0);
    await node.control.release();
    await using second = await startCore(node, { timeouts: { changeRetry: 30 } });
    expect(await untilApplied(second, { ...outlives, Shares: [work] })).toMatchObject({ runtimeID });
    expect(await system(node)).toMatchObject({
      shares: { '1': work.path },
      guest: { mounts: { '/mnt/work': 'share:1' } },
    });
    await expectNothingLost(node);
  });

  it('is removed if the guest does not have it, and its path is not used again before a restart', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { guestChange: 30, changeRetry: 30 } });
    await want(core, {});
    await untilApplied(core, {});
    const rule = await node.control.script({ at: 'guestModify', stall: true });
    await want(core, { Shares: [work] });
    const failed = await core.until(uid, 'refused', (now) =>
      (condition(now, 'Ready')?.message ?? '').includes('may still be mounting an earlier share there'),
    );
    expect(hasReason('ShareFailed')(failed)).toBe(true);
    expect((await system(node)).shares).toEqual({});
    // The mount fails only now. Nothing is at its target.
    await node.control.release(rule);
    const moved = { ...work, guestPath: '/mnt/moved' };
    await want(core, { Shares: [moved] });
    await untilApplied(core, { Shares: [moved] });
    await expectNothingLost(node);
  });
});

describe('a stop', () => {
  it('unmounts writable shares before disks', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, { Shares: [work, config], Disks: [data] });
    await untilApplied(core, { Shares: [work, config], Disks: [data] });
    await core.supervisor.assign(makeAssignment({ options: {}, runStrategy: 'Halted', generation: generation + 1 }));
    const stopped = await core.until(uid, 'stopped', ({ phase }) => phase === 'Stopped');
    expect(stopped.lastExit?.message).toBe('the VM was terminated by the agent (Halted)');
    for (const files of Object.values(await node.control.diskFiles())) expect(files).toContain('kept');
  });

  it('names a share that stayed mounted', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, { Shares: [work] });
    await untilApplied(core, { Shares: [work] });
    await node.control.script({ at: 'guestModify', times: 'always', fail: { message: 'in use' } });
    await core.supervisor.assign(makeAssignment({ options: {}, runStrategy: 'Halted', generation: generation + 1 }));
    const stopped = await core.until(uid, 'stopped', ({ phase }) => phase === 'Stopped');
    expect(stopped.lastExit?.message).toContain('/mnt/work (guest RPC failure: in use) stayed mounted and was synced');
  });
});

describe('a folder that a VM shares writable', () => {
  const inside = { name: 'in', path: 'C:\\shares\\work\\disk.vhd', readOnly: true };

  it('has no disk of another VM below it, until the share is gone', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { allowed: allowList({ paths: ['C:\\'], pipes: [], devices: [] }) });
    await want(core, { Shares: [work] });
    await untilApplied(core, { Shares: [work] });
    await want(core, { Disks: [inside] }, otherUid);
    const waiting = await core.until(otherUid, 'waiting', hasReason('DiskInUse'));
    expect(condition(waiting, 'Ready')?.message).toContain('is below a folder that is shared writable with');
    await want(core, { Shares: [{ ...work, readOnly: true }] });
    await untilApplied(core, { Disks: [inside] }, otherUid);
    await want(core, { Shares: [work] });
    const refused = await core.until(uid, 'refused', hasReason('DiskInUse'));
    expect(condition(refused, 'Ready')?.message).toContain('contains a file that is used by');
    await want(core, {}, otherUid);
    await untilApplied(core, { Shares: [work] });
  });
});
