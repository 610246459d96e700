import { describe, expect, it } from 'vitest';
import { HcsError } from '../../../agent/node/hcs-error.ts';
import { describeBackend } from '../../support/agent/backend-contract.ts';
import { bootFolder, newSystemId, ordinaryDocument, startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

describeBackend('the simulated backend', async () => {
  const node = await startNode();
  const { backend } = await node.connect();
  return {
    backend,
    newId: newSystemId,
    document: (options) => JSON.stringify(ordinaryDocument(options)),
    another: async () => (await node.connect()).backend,
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
});

describe('the simulated host', () => {
  it('reports its facts and its boot files', async () => {
    await using node = await startNode({ isolation: ['SNP'] });
    const { host } = await node.connect();
    expect(await host.facts()).toEqual({
      osBuild: 20348,
      architecture: 'amd64',
      logicalProcessors: 8,
      memoryInMB: 8192,
      numaNodes: [{ number: 0, logicalProcessors: 8, memoryInMB: 8192 }],
      isolation: ['SNP'],
      bootFiles: [{ path: bootFolder, files: ['vmlinux', 'kernel', 'initrd.img'] }],
    });
  });

  it('finds files and folders in any letter case', async () => {
    await using node = await startNode();
    const { host } = await node.connect();
    expect(await host.stat('c:\\linuxbootfiles\\VMLINUX')).toEqual({ kind: 'file', size: 1000 });
    expect(await host.stat('C:\\disks\\..\\disks\\')).toEqual({ kind: 'folder' });
    expect(await host.stat('C:\\LinuxBootFiles')).toEqual({ kind: 'folder' });
    expect(await host.stat('C:\\')).toEqual({ kind: 'folder' });
    expect(await host.stat('C:\\disk')).toEqual({ kind: 'notFound' });
    expect(await host.stat('vmlinux')).toEqual({ kind: 'notFound' });
  });

  it('copies, grants and deletes, and reports errors with the messages of Windows', async () => {
    await using node = await startNode();
    const { host } = await node.connect();
    await host.copyFile('C:\\disks\\data.vhd', 'D:\\new\\copy.vhd');
    expect(await host.stat('d:\\NEW\\copy.vhd')).toEqual({ kind: 'file', size: 3000 });
    await host.grantVmGroupAccess('D:\\new\\COPY.vhd');
    expect(await node.control.files()).toContainEqual({ path: 'D:\\new\\copy.vhd', size: 3000, isGranted: true });
    await expect(host.copyFile('C:\\disks', 'D:\\x')).rejects.toThrow('Access is denied.');
    await expect(host.copyFile('C:\\none', 'D:\\x')).rejects.toThrow('The system cannot find the file specified.');
    await host.deleteFile('D:\\NEW\\copy.vhd');
    await host.deleteFile('D:\\new\\copy.vhd');
    expect(await host.stat('D:\\new')).toEqual({ kind: 'notFound' });
  });

  it('keeps a file locked that a VM has open', async () => {
    await using node = await startNode();
    const { backend, host } = await node.connect();
    const system = await backend.create(newSystemId(), JSON.stringify(withDisk('C:\\disks\\data.vhd')));
    await expect(host.deleteFile('c:\\disks\\DATA.vhd')).rejects.toThrow('being used by another process');
    await system.terminate();
    await system.ended;
    await host.deleteFile('c:\\disks\\DATA.vhd');
  });
});

describe('the script of a simulated host', () => {
  it('fails a step as often as it says, with the HRESULT that it names', async () => {
    await using node = await startNode({
      script: [{ at: 'create', times: 2, fail: { hresult: '0x800705aa', message: 'no memory' } }],
    });
    const { backend } = await node.connect();
    const create = () => backend.create(newSystemId(), JSON.stringify(ordinaryDocument()));
    await expect(create()).rejects.toMatchObject({ isCapacity: true, detail: 'no memory' });
    await expect(create()).rejects.toBeInstanceOf(HcsError);
    await create();
    expect((await node.control.visits()).filter(({ step }) => step === 'create')).toHaveLength(3);
  });

  it('stalls a step of one system until it is released', async () => {
    await using node = await startNode();
    const { backend } = await node.connect();
    const [slow, fast] = [newSystemId(), newSystemId()];
    const rule = await node.control.script({ at: 'create', system: slow, stall: true });
    const stalled = backend.create(slow, JSON.stringify(ordinaryDocument()));
    await backend.create(fast, JSON.stringify(ordinaryDocument()));
    expect((await backend.enumerate()).map(({ id }) => id)).toEqual([fast]);
    await node.control.release(rule);
    expect((await stalled).id).toBe(slow);
  });

  it('fails file calls by path, with the given message', async () => {
    await using node = await startNode();
    const { host } = await node.connect();
    await node.control.script({ at: 'stat', path: 'C:\\DISKS\\data.vhd', fail: { message: 'device not ready' } });
    expect(await host.stat('C:\\disks\\data.vhd')).toEqual({ kind: 'error', message: 'device not ready' });
    await node.control.script({ at: 'copy', fail: { message: 'disk full' } });
    await expect(host.copyFile('C:\\disks\\data.vhd', 'D:\\x')).rejects.toThrow('disk full');
    expect(await host.stat('D:\\x')).toEqual({ kind: 'notFound' });
  });

  it('restarts the service without affecting the VMs', async () => {
    await using node = await startNode();
    const { backend } = await node.connect();
    const system = await backend.create(newSystemId(), JSON.stringify(ordinaryDocument()));
    await system.start();
    const { runtimeId } = await system.properties();
    await node.control.disconnectClients();
    expect((await system.ended).kind).toBe('serviceDisconnected');
    const opened = await (await node.connect()).backend.open(system.id);
    expect(await opened.properties()).toMatchObject({ state: 'Running', runtimeId });
  });
});

describe('changes of a running system', () => {
  it('attaches and detaches disks, and refuses invalid changes', async () => {
    await using node = await startNode();
    const { backend } = await node.connect();
    const system = await backend.create(newSystemId(), JSON.stringify(ordinaryDocument()));
    await expect(system.modify(attach(0))).rejects.toBeInstanceOf(HcsError);
    await system.start();
    await system.modify(attach(0));
    await expect(system.modify(attach(0))).rejects.toThrow('is in use');
    await expect(system.modify(attach(64))).rejects.toBeInstanceOf(HcsError);
    await expect(system.modify(attach(1, 'C:\\none.vhd'))).rejects.toThrow('not found');
    await system.modify(JSON.stringify({ ResourcePath: diskPath(0), RequestType: 'Remove' }));
    await system.modify(attach(0));
  });

  it('compares memory with the free memory', async () => {
    await using node = await startNode();
    const { backend } = await node.connect();
    const system = await backend.create(newSystemId(), JSON.stringify(ordinaryDocument({ memoryInMB: 4096 })));
    await system.start();
    const resize = (size: number) =>
      system.modify(`{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","Settings":${size}}`);
    await resize(6144);
    await expect(resize(9000)).rejects.toMatchObject({ isCapacity: true });
    const big = JSON.stringify(ordinaryDocument({ memoryInMB: 4096 }));
    await expect(backend.create(newSystemId(), big)).rejects.toMatchObject({ isCapacity: true });
    await system.terminate();
    await until('the memory is free', () => backend.create(newSystemId(), big).catch(() => undefined));
  });

  it('accepts the other paths, and no unknown ones', async () => {
    await using node = await startNode();
    const { backend } = await node.connect();
    const system = await backend.create(newSystemId(), JSON.stringify(ordinaryDocument()));
    await system.start();
    const processor = 'VirtualMachine/ComputeTopology/Processor';
    await system.modify(`{"ResourcePath":"${processor}/Limits","Settings":{"Limit":18446744073709551615}}`);
    await system.modify(`{"ResourcePath":"${processor}/CpuGroup","Settings":{"Id":"${groups[0]}"}}`);
    const other = `{"ResourcePath":"${processor}/CpuGroup","Settings":{"Id":"${groups[1]}"}}`;
    await expect(system.modify(other)).rejects.toThrow('INVALID_STATE');
    await system.modify(`{"ResourcePath":"${processor}/CpuGroup","Settings":{"Id":"${groups[2]}"}}`);
    await system.modify(other);
    await expect(system.modify('{"ResourcePath":"VirtualMachine/Nothing"}')).rejects.toThrow('unknown ResourcePath');
    await expect(system.modify('{"Path":"x"}')).rejects.toThrow('INVALID_JSON');
  });
});

const groups = [
  '11111111-1111-1111-1111-111111111111',
  '22222222-2222-2222-2222-222222222222',
  '00000000-0000-0000-0000-000000000000',
];

function diskPath(lun: number): string {
  return `VirtualMachine/Devices/Scsi/df6d0690-79e5-55b6-a5ec-c1e2f77f580a/Attachments/${lun}`;
}

function attach(lun: number, path = 'C:\\disks\\data.vhd'): string {
  return JSON.stringify({
    ResourcePath: diskPath(lun),
    RequestType: 'Add',
    Settings: { Type: 'VirtualDisk', Path: path, ReadOnly: true },
  });
}

function withDisk(path: string) {
  const document = ordinaryDocument();
  const disks = { 'df6d0690-79e5-55b6-a5ec-c1e2f77f580a': { Attachments: { 0: { Type: 'VirtualDisk', Path: path } } } };
  return {
    ...document,
    VirtualMachine: { ...document.VirtualMachine, Devices: { ...document.VirtualMachine.Devices, Scsi: disks } },
  };
}
