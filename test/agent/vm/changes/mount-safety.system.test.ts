// No outcome of a mount deletes files in a guest, and no wait is unbounded. The simulated guest deletes and waits as
// the real one does (hcs-runtime E.6).
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../../agent/node/system-id.ts';
import { optionsDigest } from '../../../../protocol/digest.ts';
import type { RequestedOptions } from '../../../../protocol/options.ts';
import { type AgentCore, condition, hasReason, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { defaultHost, startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import { until } from '../../../support/until.ts';

const systemID = systemIdOf(uid);
const data = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false, mountPath: '/mnt/data' };
const other = { name: 'other', path: 'C:\\disks\\other.vhd', readOnly: false, mountPath: '/mnt/other' };
const host = { files: { ...defaultHost.files, [other.path]: 4096 } };
const outlives = { TerminateOnAgentExit: false };

let generation = 1;

async function want(core: AgentCore, options: RequestedOptions): Promise<void> {
  generation += 1;
  await core.supervisor.assign(makeAssignment({ options, generation }));
}

async function untilApplied(core: AgentCore, options: RequestedOptions): Promise<void> {
  const digest = optionsDigest(options);
  await core.until(uid, 'applied', (now) => isRunning(now) && now.optionsDigest === digest);
}

async function guestOf(node: TestNode) {
  const guest = (await node.control.system(systemID))?.guest;
  if (guest === undefined) throw new Error('the VM does not run');
  return guest;
}

async function visitsOf(node: TestNode, step: string): Promise<number> {
  return (await node.control.visits()).filter((visit) => visit.step === step).length;
}

async function run(core: AgentCore, ...args: readonly string[]) {
  const wanted = { stdin: false, stdout: false, stderr: false };
  const machine = core.supervisor.machine(uid);
  if (machine === undefined) throw new Error('the agent does not know the VM');
  return await machine.access.execute({ args }, wanted, new AbortController().signal);
}

/** Every file of the image still exists. */
async function expectNothingLost(node: TestNode): Promise<void> {
  expect((await guestOf(node)).files).toEqual(['/etc/hosts', '/usr/bin/tool', '/opt/keep/file', '/var/lib/state']);
  for (const files of Object.values(await node.control.diskFiles())) expect(files).toContain('kept');
}

describe('a mount path', () => {
  it('with files of the image is refused before the guest is asked, on every attempt', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 30 } });
    await want(core, { Disks: [{ ...data, mountPath: '/opt/keep' }, other] });
    const failed = await core.until(uid, 'refused', hasReason('DiskFailed'));
    expect(condition(failed, 'Ready')?.message).toContain('disk data at /opt/keep: the guest has files there');
    expect((await guestOf(node)).mounts).toEqual({ '/mnt/other': '0:0' });
    await expectNothingLost(node);
    await want(core, { Disks: [data, other] });
    await untilApplied(core, { Disks: [data, other] });
  });

  it.each(['/etc', '/usr/lib/data', '/run', '/var/lib', '/mnt/../etc', 'relative'])(
    'from an older manifest is refused by the agent: %s',
    async (mountPath) => {
      await using node = await startNode(host);
      await using core = await startCore(node);
      await want(core, {});
      await untilApplied(core, {});
      await want(core, { Disks: [{ ...data, mountPath }, other] });
      const refused = await core.until(uid, 'refused', hasReason('PathNotAllowed'));
      expect(condition(refused, 'Stalled')?.message).toContain(`storage.disks[data].mountPath: ${mountPath} must`);
      await expectNothingLost(node);
    },
  );

  it('above or below that of another disk is refused, even while the other disk cannot be detached', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 30 } });
    const nested = { ...other, mountPath: '/mnt/data/below' };
    await want(core, { Disks: [data, nested] });
    const refused = await core.until(uid, 'refused', hasReason('PathNotAllowed'));
    expect(condition(refused, 'Ready')?.message).toContain(
      'must not be equal to, above or below /mnt/data of disk data',
    );
    await want(core, { Disks: [data] });
    await untilApplied(core, { Disks: [data] });
    await run(core, 'tail', '-f', '/mnt/data/kept');
    await want(core, { Disks: [nested] });
    await core.until(uid, 'in use', hasReason('DiskFailed'));
    expect((await guestOf(node)).mounts).toEqual({ '/mnt/data': '0:0' });
    await expectNothingLost(node);
  });

  it('at which nothing is mounted any more is left alone when its disk is removed', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, { Disks: [data] });
    await untilApplied(core, { Disks: [data] });
    expect(await (await run(core, 'umount', '/mnt/data')).exitCode).toBe(0);
    expect(await (await run(core, 'sh', '-c', 'echo mine > /mnt/data/written')).exitCode).toBe(0);
    await want(core, {});
    await untilApplied(core, {});
    expect((await guestOf(node)).files).toContain('/mnt/data/written');
    expect((await node.control.system(systemID))?.disks).toEqual({});
  });
});

describe('a mount whose result is unknown', () => {
  it('is not requested again: once the guest is seen to have it, the disk counts as mounted', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { guestChange: 30, changeRetry: 200 } });
    await want(core, {});
    await untilApplied(core, {});
    const rule = await node.control.script({ at: 'guestDevice', stall: true });
    await want(core, { Disks: [data, other] });
    const failed = await core.until(uid, 'unanswered', hasReason('DiskFailed'));
    expect(condition(failed, 'Ready')?.message).toContain('modifySettings is not answered');
    await until('the other disk is not held up', async () => (await guestOf(node)).mounts['/mnt/other'] === '0:1');
    await node.control.release(rule);
    await untilApplied(core, { Disks: [data, other] });
    expect((await guestOf(node)).mounts).toEqual({ '/mnt/data': '0:0', '/mnt/other': '0:1' });
    expect(await visitsOf(node, 'guestModify')).toBe(2);
    expect(await visitsOf(node, 'negotiate')).toBe(1);
    await expectNothingLost(node);
  });

  it('keeps its place, so that the guest cannot mount another disk there, and is given up after a few attempts', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { guestChange: 100, changeRetry: 30 } });
    await want(core, {});
    await untilApplied(core, {});
    const rule = await node.control.script({ at: 'guestDevice', stall: true, times: 'always' });
    await want(core, { Disks: [data] });
    const failed = await core.until(uid, 'given up', (now) =>
      (condition(now, 'Ready')?.message ?? '').includes('has not answered for 8 disks'),
    );
    expect(failed).toMatchObject({ phase: 'Running' });
    expect(condition(failed, 'GuestConnected')?.status).toBe('True');
    // A late answer that arrives before the guest looks for the disk also counts.
    expect(await visitsOf(node, 'guestDevice')).toBeLessThanOrEqual(8);
    await node.control.release(rule);
    await core.supervisor.assign(makeAssignment({ options: { Disks: [data] }, generation, restartedAt: 'now' }));
    await core.until(uid, 'restarted', (now) => isRunning(now) && now.restartedAt === 'now');
    expect((await guestOf(node)).mounts).toEqual({ '/mnt/data': '0:0' });
    await expectNothingLost(node);
  });

  it('is undone within bounds, even when the guest does not answer that request either', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { guestChange: 5, changeRetry: 30, backOffMaximum: 30 } });
    await want(core, {});
    await untilApplied(core, {});
    await want(core, { Disks: [data] });
    await until('mounted', async () => (await guestOf(node)).mounts['/mnt/data'] !== undefined);
    await node.control.script({ at: 'guestDevice', stall: true, times: 'always' });
    const before = await visitsOf(node, 'guestDevice');
    await want(core, {});
    const failed = await core.until(uid, 'given up', (now) =>
      (condition(now, 'Ready')?.message ?? '').includes('has not answered 32 changes'),
    );
    expect(condition(failed, 'GuestConnected')?.status).toBe('True');
    expect((await visitsOf(node, 'guestDevice')) - before).toBeLessThanOrEqual(32);
    await expectNothingLost(node);
  });

  it('does not delay a stop', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { guestChange: 600_000 } });
    await want(core, {});
    await untilApplied(core, {});
    await node.control.script({ at: 'guestDevice', stall: true });
    await want(core, { Disks: [data] });
    await until('asked', async () => (await visitsOf(node, 'guestDevice')) === 1);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
  });

  it('is checked by the next agent, which does not ask the guest about a disk that was never attached', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await want(first, outlives);
    await untilApplied(first, outlives);
    // The agent dies after it has written that it attaches the disk, and HCS never gets the request.
    await node.control.script({ at: 'modify', stall: true, fail: { message: 'never' } });
    await want(first, { ...outlives, Disks: [data] });
    await until('asked', async () => (await visitsOf(node, 'modify')) === 1);
    await first.vanish();
    await node.control.release();
    await using second = await startCore(node);
    await untilApplied(second, { ...outlives, Disks: [data] });
    expect((await guestOf(node)).mounts).toEqual({ '/mnt/data': '0:0' });
    expect(await visitsOf(node, 'guestDevice')).toBe(1);
    await expectNothingLost(node);
  });

  it('is kept by the next agent when the guest has made it', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await want(first, outlives);
    await untilApplied(first, outlives);
    await node.control.script({ at: 'guestModify', stall: true });
    await want(first, { ...outlives, Disks: [data] });
    await until('asked', async () => (await visitsOf(node, 'guestModify')) === 1);
    await first.vanish();
    await node.control.release();
    await until('mounted', async () => (await guestOf(node)).mounts['/mnt/data'] === '0:0');
    await using second = await startCore(node);
    await untilApplied(second, { ...outlives, Disks: [data] });
    expect((await guestOf(node)).mounts).toEqual({ '/mnt/data': '0:0' });
    expect(await visitsOf(node, 'guestModify')).toBe(1);
    await expectNothingLost(node);
  });
});
