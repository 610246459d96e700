// Changes of a running VM on a simulated node: the tests compare what HCS and the guest have with what the manifest
// asks for.
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
import { bootFolder, defaultHost, startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import { until } from '../../../support/until.ts';

const systemID = systemIdOf(uid);
const data = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false, mountPath: '/mnt/data' };
const tools = { name: 'tools', path: 'C:\\disks\\tools.vhd', readOnly: true };
const host = { files: { ...defaultHost.files, [tools.path]: 4096 } };
const nodes = { AllowOvercommit: false, MaxProcessorsPerNumaNode: 2, MaxMemorySizePerNumaNode: 1024 };
const isolating = {
  files: { ...defaultHost.files, [`${bootFolder}\\kernel.vmgs`]: 4096, [`${bootFolder}\\rootfs.vhd`]: 8192 },
  isolation: ['SNP' as const],
};
const confidential = { SecurityPolicy: 'cGFja2FnZSBwb2xpY3k=', SecurityPolicyEnabled: true };
const group = (digit: string) => `${digit.repeat(8)}-0000-4000-8000-000000000000`;

let generation = 1;

async function want(core: AgentCore, options: RequestedOptions): Promise<void> {
  generation += 1;
  await core.supervisor.assign(makeAssignment({ options, generation }));
}

/** Waits until the VM runs with all of these options, and nothing waits for a restart. */
async function untilApplied(core: AgentCore, options: RequestedOptions) {
  const digest = optionsDigest(options);
  const observed = await core.until(uid, 'applied', (now) => isRunning(now) && now.optionsDigest === digest);
  expect(condition(observed, 'RestartRequired')).toBeUndefined();
  return observed;
}

async function system(node: TestNode) {
  const found = await node.control.system(systemID);
  if (found === undefined) throw new Error('the VM does not exist');
  return found;
}

async function fileOf(node: TestNode, path: string) {
  return (await node.control.files()).find((file) => file.path === path);
}

async function visitsOf(node: TestNode, step: string): Promise<number> {
  return (await node.control.visits()).filter((visit) => visit.step === step).length;
}

describe('resources of a running VM', () => {
  it('follow the manifest without a restart, in both directions', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await want(core, {});
    const { documentDigest, runtimeID } = await untilApplied(core, {});
    const options = { MemorySizeInMB: 2049, ProcessorLimit: 50_000, ProcessorWeight: 200, CPUGroupID: group('a') };
    await want(core, options);
    const changed = await untilApplied(core, options);
    expect(changed).toMatchObject({ documentDigest, runtimeID, memorySizeInMB: 2050, restarts: 0 });
    expect(changed.warnings).toEqual([expect.stringContaining('2049')]);
    expect(await system(node)).toMatchObject({
      memoryInMB: 2050,
      processorLimits: { Limit: 50_000, Weight: 200 },
      cpuGroup: group('a'),
    });
    // A VM can change its CPU group only by leaving the old one first; the simulated HCS enforces that.
    await want(core, { ...options, CPUGroupID: group('b') });
    await untilApplied(core, { ...options, CPUGroupID: group('b') });
    expect((await system(node)).cpuGroup).toBe(group('b'));
    await want(core, {});
    expect(await untilApplied(core, {})).toMatchObject({ memorySizeInMB: 1024, warnings: [] });
    const back = await system(node);
    expect(back).toMatchObject({ memoryInMB: 1024, processorLimits: { Limit: 100_000, Weight: 100 } });
    expect(back.cpuGroup).toBeUndefined();
  });

  it.each([
    ['processor limits before build 19042', { build: 19041 }, {}, { ProcessorLimit: 5 }],
    ['memory of vNUMA nodes', { build: 26100 }, nodes, { ...nodes, MemorySizeInMB: 2048 }],
    ['memory of an isolated VM', isolating, confidential, { ...confidential, MemorySizeInMB: 2048 }],
    ['a CPU group instead of a partition', {}, { ResourcePartitionID: group('c') }, { CPUGroupID: group('a') }],
    ['a kernel', {}, {}, { KernelFile: 'kernel' }],
  ] as const)('wait for a restart: %s', async (_name, description, before, options) => {
    await using node = await startNode(description);
    await using core = await startCore(node);
    await want(core, before);
    const { runtimeID } = await untilApplied(core, before);
    await want(core, options);
    const observed = await core.until(uid, 'said', (now) => condition(now, 'RestartRequired') !== undefined);
    expect(isReady(observed)).toBe(true);
    expect(await visitsOf(node, 'modify')).toBe(0);
    await want(core, before);
    expect(await untilApplied(core, before)).toMatchObject({ runtimeID });
  });

  it('stay unchanged while the host does not allow the CPU group', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await want(core, { CPUGroupID: group('a') });
    const { runtimeID } = await untilApplied(core, { CPUGroupID: group('a') });
    await want(core, { CPUGroupID: group('e') });
    const refused = await core.until(uid, 'refused', hasReason('CPUGroupNotAllowed'));
    expect(condition(refused, 'Stalled')?.status).toBe('True');
    expect(refused).toMatchObject({ phase: 'Running', runtimeID });
    expect((await system(node)).cpuGroup).toBe(group('a'));
    await want(core, {});
    expect(await untilApplied(core, {})).toMatchObject({ runtimeID });
  });

  it('follow the manifest when the boot files have disappeared from the host since the start', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await want(core, {});
    const { runtimeID } = await untilApplied(core, {});
    const connection = await node.connect();
    for (const { path } of await node.control.files()) {
      if (path.startsWith(bootFolder)) await connection.host.deleteFile(path);
    }
    await connection.close();
    const options = { ProcessorLimit: 40_000, MemorySizeInMB: 2048, CPUGroupID: group('a') };
    await want(core, options);
    expect(await untilApplied(core, options)).toMatchObject({ runtimeID, memorySizeInMB: 2048 });
    expect(await system(node)).toMatchObject({ processorLimits: { Limit: 40_000 }, cpuGroup: group('a') });
  });

  it('are changed up to the one that the host does not allow', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await want(core, {});
    await untilApplied(core, {});
    await want(core, { MemorySizeInMB: 2048, CPUGroupID: group('e') });
    const refused = await core.until(uid, 'refused', hasReason('CPUGroupNotAllowed'));
    expect(refused.memorySizeInMB).toBe(2048);
  });

  it('are changed where possible, while other changes wait for a restart', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await want(core, {});
    await untilApplied(core, {});
    await want(core, { MemorySizeInMB: 2048, KernelFile: 'kernel' });
    const observed = await core.until(uid, 'changed', (now) => isReady(now) && now.memorySizeInMB === 2048);
    expect(condition(observed, 'RestartRequired')?.status).toBe('True');
    expect(observed.optionsDigest).toBe(optionsDigest({ MemorySizeInMB: 2048 }));
  });

  it('that the host does not have are reported, and tried again', async () => {
    await using node = await startNode();
    await using core = await startCore(node, { timeouts: { changeRetry: 20 } });
    await want(core, {});
    const { runtimeID } = await untilApplied(core, {});
    await want(core, { MemorySizeInMB: 100_000 });
    const failed = await core.until(uid, 'refused', hasReason('InsufficientResources'));
    expect(condition(failed, 'Ready')?.message).toContain('100000 MB of memory are wanted');
    expect(condition(failed, 'Reconciling')?.status).toBe('True');
    expect(failed).toMatchObject({ phase: 'Running', runtimeID, memorySizeInMB: 1024 });
    const before = await visitsOf(node, 'modify');
    await until('again', async () => (await visitsOf(node, 'modify')) > before);
    await want(core, { MemorySizeInMB: 512 });
    expect((await untilApplied(core, { MemorySizeInMB: 512 })).memorySizeInMB).toBe(512);
  });

  it('wait for a call that HCS does not return from, and the VM can still be stopped', async () => {
    await using node = await startNode();
    await using core = await startCore(node, { timeouts: { modify: 20 } });
    await want(core, {});
    await untilApplied(core, {});
    const rule = await node.control.script({ at: 'modify', stall: true });
    await want(core, { MemorySizeInMB: 2048 });
    await core.until(uid, 'overdue', hasReason('CallOverdue'));
    expect(await visitsOf(node, 'modify')).toBe(1);
    await node.control.release(rule);
    await untilApplied(core, { MemorySizeInMB: 2048 });
    await node.control.script({ at: 'modify', stall: true });
    await want(core, { MemorySizeInMB: 4096 });
    await core.until(uid, 'overdue again', hasReason('CallOverdue'));
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
  });

  it('are left unchanged while the VM is paused', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await want(core, {});
    await untilApplied(core, {});
    const options = { MemorySizeInMB: 2048 };
    await core.supervisor.assign(makeAssignment({ options, paused: true }));
    expect(isReady(core.observed(uid))).toBe(true);
    await core.supervisor.assign(makeAssignment({ options }));
    await untilApplied(core, options);
    expect(await visitsOf(node, 'modify')).toBe(1);
  });
});

describe('disks of a running VM', () => {
  it('are attached after the boot, mounted and reported, and removed with the VM', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    const options = { Disks: [data, tools] };
    await want(core, options);
    const observed = await untilApplied(core, options);
    expect(observed.devices?.scsi).toEqual([
      { controller: 0, lun: 0, path: data.path },
      { controller: 0, lun: 1, path: tools.path },
    ]);
    expect(await system(node)).toMatchObject({
      disks: { '0:0': data.path, '0:1': tools.path },
      guest: { mounts: { '/mnt/data': '0:0', '/run/mounts/scsi/m0': '0:1' } },
    });
    expect(await fileOf(node, data.path)).toMatchObject({ isGranted: false, grantedTo: [systemID] });
    expect(await fileOf(node, tools.path)).toMatchObject({ isGranted: false, grantedTo: [systemID] });
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    for (const { path, size } of [
      { path: data.path, size: 3000 },
      { path: tools.path, size: 4096 },
    ]) {
      expect(await fileOf(node, path)).toEqual({ path, size, isGranted: false });
    }
  });

  it('in a read-only folder are readable for the group of all VMs, and remain so', async () => {
    const shared = { ...tools, path: 'C:\\images\\tools.vhd' };
    await using node = await startNode({ files: { ...defaultHost.files, [shared.path]: 4096 } });
    await using core = await startCore(node);
    await want(core, { Disks: [shared] });
    await untilApplied(core, { Disks: [shared] });
    const readable = { path: shared.path, size: 4096, isGranted: false, isReadable: true };
    expect(await fileOf(node, shared.path)).toEqual(readable);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    expect(await fileOf(node, shared.path)).toEqual(readable);
  });

  it('keep their access when one of two disks of the same file is removed', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    const both = { Disks: [tools, { ...tools, name: 'again' }] };
    await want(core, both);
    await untilApplied(core, both);
    await want(core, { Disks: [tools] });
    await untilApplied(core, { Disks: [tools] });
    expect((await fileOf(node, tools.path))?.grantedTo).toEqual([systemID]);
    await want(core, {});
    await untilApplied(core, {});
    expect((await fileOf(node, tools.path))?.grantedTo).toBeUndefined();
  });

  it('are attached, granted and revoked by their real path', async () => {
    const named = { ...data, path: 'C:\\DISKS~1\\data.vhd' };
    await using node = await startNode({ ...host, links: { 'C:\\DISKS~1': 'C:\\disks' } });
    await using core = await startCore(node);
    await want(core, { Disks: [named] });
    await untilApplied(core, { Disks: [named] });
    expect((await system(node)).disks).toEqual({ '0:0': data.path });
    expect((await fileOf(node, data.path))?.grantedTo).toEqual([systemID]);
    await want(core, {});
    await untilApplied(core, {});
    expect((await fileOf(node, data.path))?.grantedTo).toBeUndefined();
  });

  it('that are no longer allowed stay with the running VM, which does not start again', async () => {
    await using node = await startNode(host);
    const options = { TerminateOnAgentExit: false, Disks: [data] };
    const first = await startCore(node);
    await want(first, options);
    const { runtimeID } = await untilApplied(first, options);
    await first.kill();
    await using second = await startCore(node, { allowed: allowList({ paths: [], pipes: [], devices: [] }) });
    expect(await untilApplied(second, options)).toMatchObject({ runtimeID });
    expect((await system(node)).disks).toEqual({ '0:0': data.path });
    await second.supervisor.assign(makeAssignment({ options, generation, restartedAt: 'now' }));
    const refused = await second.until(uid, 'stalled', hasReason('PathNotAllowed'));
    expect(condition(refused, 'Stalled')?.status).toBe('True');
    expect(condition(refused, 'Ready')?.message).toContain('--allowed-path');
    expect(await node.control.systems()).toEqual([]);
  });

  it('that the host does not allow prevent no change of other disks and resources', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, {});
    await untilApplied(core, {});
    const secret = { ...data, name: 'secret', path: 'C:\\ProgramData\\lcow\\vms\\x.vhd' };
    await want(core, { Disks: [secret, tools], MemorySizeInMB: 2048 });
    await core.until(uid, 'refused', hasReason('PathNotAllowed'));
    expect(await system(node)).toMatchObject({ memoryInMB: 2048, disks: { '0:0': tools.path } });
  });

  it('are added, changed and removed while the VM runs', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, {});
    const { runtimeID } = await untilApplied(core, {});
    await want(core, { Disks: [data] });
    await untilApplied(core, { Disks: [data] });
    // The same disk with another mount path, and a second disk.
    const moved = { Disks: [tools, { ...data, mountPath: '/mnt/moved' }] };
    await want(core, moved);
    await untilApplied(core, moved);
    expect((await system(node)).guest?.mounts).toEqual({ '/run/mounts/scsi/m0': '0:0', '/mnt/moved': '0:1' });
    await want(core, {});
    expect(await untilApplied(core, {})).toMatchObject({ runtimeID, devices: { scsi: [] } });
    expect(await system(node)).toMatchObject({ disks: {}, guest: { mounts: {} } });
    expect((await fileOf(node, data.path))?.grantedTo).toBeUndefined();
  });

  it('are mounted with the file system of the manifest', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    const ensured = { ...data, filesystem: 'ext4', ensureFilesystem: true } as const;
    await want(core, { Disks: [ensured] });
    await untilApplied(core, { Disks: [ensured] });
    await want(core, { Disks: [data] });
    await untilApplied(core, { Disks: [data] });
    expect((await system(node)).guest?.mounts).toEqual({ [data.mountPath]: '0:0' });
    await want(core, { Disks: [{ ...data, filesystem: 'xfs' }] });
    const refused = await core.until(uid, 'refused', hasReason('DiskFailed'));
    expect(JSON.stringify(refused.conditions)).toContain('invalid argument');
    expect((await node.control.diskFiles())[data.path]).toEqual(['kept']);
  });

  it('are attached without the guest where the guest does not connect', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    const options = { Disks: [tools], UseGuestConnection: false };
    await want(core, options);
    await untilApplied(core, options);
    expect((await system(node)).disks).toEqual({ '0:0': tools.path });
    await want(core, { UseGuestConnection: false });
    await untilApplied(core, { UseGuestConnection: false });
    expect((await system(node)).disks).toEqual({});
    expect(await visitsOf(node, 'guestModify')).toBe(0);
  });

  it('that the guest does not mount are detached and tried again, and delay no other disk', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 200 } });
    await want(core, {});
    await untilApplied(core, {});
    await node.control.script({ at: 'guestModify', fail: { message: 'no such filesystem' } });
    await want(core, { Disks: [data, tools] });
    const failed = await core.until(uid, 'refused', hasReason('DiskFailed'));
    expect(condition(failed, 'Ready')?.message).toBe(
      'mount scsi controller 0 lun 0 at /mnt/data: guest RPC failure: no such filesystem',
    );
    expect((await system(node)).disks).toEqual({ '0:0': tools.path });
    expect((await fileOf(node, data.path))?.grantedTo).toBeUndefined();
    await untilApplied(core, { Disks: [data, tools] });
  });

  it('that the agent does not allow stall the VM, and nothing is attached', async () => {
    await using node = await startNode({ files: { ...defaultHost.files, 'D:\\secret.vhd': 1 } });
    await using core = await startCore(node);
    await want(core, {});
    await untilApplied(core, {});
    await want(core, { Disks: [{ ...data, path: 'D:\\secret.vhd' }] });
    const refused = await core.until(uid, 'refused', hasReason('PathNotAllowed'));
    expect(condition(refused, 'Stalled')?.reason).toBe('PathNotAllowed');
    expect(refused.phase).toBe('Running');
    expect((await fileOf(node, 'D:\\secret.vhd'))?.grantedTo).toBeUndefined();
    await want(core, {});
    await untilApplied(core, {});
  });

  it('wait until the guest is connected', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 60_000 } });
    await want(core, {});
    await untilApplied(core, {});
    const rule = await node.control.script({ at: 'bridge', stall: true });
    await node.control.dropBridge(systemID);
    await core.until(uid, 'lost', hasReason('GuestConnectionLost'));
    await want(core, { Disks: [data], MemorySizeInMB: 2048 });
    // Changes that do not need the guest are made at once.
    await core.until(uid, 'more memory', ({ memorySizeInMB }) => memorySizeInMB === 2048);
    expect((await system(node)).disks).toEqual({});
    await node.control.release(rule);
    await untilApplied(core, { Disks: [data], MemorySizeInMB: 2048 });
  });

  it('that the guest still uses stay attached', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { changeRetry: 50 } });
    await want(core, { Disks: [data] });
    await untilApplied(core, { Disks: [data] });
    const rule = await node.control.script({ at: 'guestModify', times: 'always', fail: { message: 'in use' } });
    await want(core, {});
    await core.until(uid, 'refused', hasReason('DiskFailed'));
    expect(await system(node)).toMatchObject({
      disks: { '0:0': data.path },
      guest: { mounts: { '/mnt/data': '0:0' } },
    });
    expect((await fileOf(node, data.path))?.grantedTo).toEqual([systemID]);
    await node.control.release(rule);
    await untilApplied(core, {});
  });

  it('that do not exist are named in the message', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node);
    await want(core, { Disks: [{ ...data, path: 'C:\\disks\\none.vhd' }] });
    const failed = await core.until(uid, 'refused', hasReason('DiskFailed'));
    expect(condition(failed, 'Ready')?.message).toContain('C:\\disks\\none.vhd');
    expect(failed.phase).toBe('Running');
  });

  it('that an agent left half attached or half detached are repaired by the next agent', async () => {
    await using node = await startNode(host);
    const outlives = { TerminateOnAgentExit: false };
    const first = await startCore(node);
    await want(first, { ...outlives, Disks: [tools] });
    const { runtimeID } = await untilApplied(first, { ...outlives, Disks: [tools] });
    await node.control.script({ at: 'guestModify', stall: true });
    await want(first, { ...outlives, Disks: [data] });
    await until('asked', async () => (await visitsOf(node, 'guestModify')) > 1);
    await first.vanish();
    await until('run-down', async () => (await system(node)).handles === 0);
    await node.control.release();
    await using second = await startCore(node);
    expect(await untilApplied(second, { ...outlives, Disks: [data] })).toMatchObject({ runtimeID });
    expect(await system(node)).toMatchObject({
      disks: { '0:0': data.path },
      guest: { mounts: { '/mnt/data': '0:0' } },
    });
  });
});
