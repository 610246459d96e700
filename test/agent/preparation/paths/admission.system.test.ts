// A path in a manifest is judged by where it leads, on a simulated host with links, 8.3 names and disks of all kinds.
import { describe, expect, it } from 'vitest';
import type { MachineFailure } from '../../../../agent/failure.ts';
import { allowList } from '../../../../agent/preparation/allow-list.ts';
import { type AdmissionScope, FileAdmission } from '../../../../agent/preparation/paths/admission.ts';
import { described, vhd, vhdx } from '../../../support/agent/disk-images.ts';
import { bootFolder, defaultHost, startNode } from '../../../support/agent/simulated-node.ts';

const own = 'C:\\ProgramData\\lcow';
const host = {
  files: {
    ...defaultHost.files,
    [`${bootFolder}\\rootfs.vhd`]: 4096,
    [`${own}\\vms\\0\\rootfs.vhd`]: 4096,
    'C:\\disks\\team-a\\data.vhdx': described(vhdx()),
    'C:\\disks\\team-a\\child.vhdx': described(vhdx({ hasParent: true })),
    'C:\\disks\\team-a\\child.vhd': described(vhd(4)),
    'C:\\disks\\team-a\\set.vhds': described(vhdx()),
    'C:\\disks\\team-b\\data.vhdx': described(vhdx()),
    'C:\\disks\\golden\\tools.vhd': described(vhd(3)),
    'E:\\real\\disk.vhd': 4096,
    'E:\\boot\\vmlinux': 1000,
  },
  links: {
    'C:\\disks\\team-a\\to-b': 'C:\\disks\\team-b',
    'C:\\disks\\team-a\\to-boot': bootFolder,
    'C:\\disks\\team-a\\to-own': own,
    'C:\\disks\\team-a\\link.vhd': 'C:\\disks\\golden\\tools.vhd',
    'C:\\disks\\team-a\\circle': 'C:\\disks\\team-a\\circle',
    'C:\\PROGRA~3': 'C:\\ProgramData',
    'C:\\disks\\TEAM-B~1': 'C:\\disks\\team-b',
    // An administrator moved these folders to another volume.
    'F:\\disks': 'E:\\real',
    [`${bootFolder}\\moved`]: 'E:\\boot',
  },
};
const perNamespace = ['C:\\disks\\{namespace}', 'C:\\disks\\golden:ro'];

async function onHost<T>(paths: readonly string[], use: (scope: AdmissionScope) => Promise<T>): Promise<T> {
  await using node = await startNode(host);
  const connection = await node.connect();
  const allowed = allowList({ paths, pipes: [], devices: [] });
  return await use({ host: connection.host, namespace: 'team-a', allowed, bootFolder, closed: [own] });
}

const admit = (path: string, paths: readonly string[] = perNamespace, readOnly = false) =>
  onHost(paths, async (scope) => (await FileAdmission.open(scope)).admitDisk({ name: 'data', path, readOnly }));
const refusal = (path: string, paths?: readonly string[], readOnly?: boolean) =>
  admit(path, paths, readOnly).then(
    (admitted) => `admitted: ${JSON.stringify(admitted)}`,
    ({ message, reason }: MachineFailure) => `${reason}: ${message}`,
  );

describe('a disk', () => {
  it('is attached by its real path', async () => {
    const path = 'C:\\disks\\team-a\\data.vhdx';
    expect(await admit('c:/DISKS/Team-A/data.VHDX')).toEqual({ path, isShared: false });
    expect(await admit('C:\\disks\\golden\\tools.vhd', perNamespace, true)).toMatchObject({ isShared: true });
    expect(await admit('C:\\disks\\team-a\\none.vhdx')).toBeUndefined();
  });

  it('can be reached by a link only where its target itself is allowed', async () => {
    const shared = { path: 'C:\\disks\\golden\\tools.vhd', isShared: true };
    expect(await admit('C:\\disks\\team-a\\link.vhd', perNamespace, true)).toEqual(shared);
    expect(await refusal('C:\\disks\\team-a\\link.vhd')).toContain('leads to a file that is in a folder');
    expect(await admit('F:\\disks\\disk.vhd', ['F:\\disks'])).toMatchObject({ path: 'E:\\real\\disk.vhd' });
  });

  it.each([
    ['a disk of another tenant, reached by a junction', 'C:\\disks\\team-a\\to-b\\data.vhdx', perNamespace],
    ['a boot image, reached by a junction', 'C:\\disks\\team-a\\to-boot\\rootfs.vhd', ['C:\\']],
    ['a file of the agent, reached by a junction', 'C:\\disks\\team-a\\to-own\\vms\\0\\rootfs.vhd', ['C:\\']],
    ['a file of the agent, reached by a short name', 'C:\\PROGRA~3\\lcow\\vms\\0\\rootfs.vhd', ['C:\\']],
    ['a disk of another tenant, reached by a short name', 'C:\\disks\\TEAM-B~1\\data.vhdx', perNamespace],
    ['a differencing VHDX', 'C:\\disks\\team-a\\child.vhdx', perNamespace],
    ['a differencing VHD', 'C:\\disks\\team-a\\child.vhd', perNamespace],
    ['a VHD set', 'C:\\disks\\team-a\\set.vhds', perNamespace],
    ['a folder', 'C:\\disks\\team-a', perNamespace],
    ['a folder that a link leads to', 'C:\\disks\\team-a\\to-boot\\', ['C:\\']],
  ])('is refused as %s', async (_, path, paths) => {
    const said = await refusal(path, paths);
    expect(said).toMatch(/^PathNotAllowed: storage.disks\[data\].path: /);
    // The message does not tell the tenant where the path leads, nor to whom that belongs.
    expect(said.slice(said.indexOf(path) + path.length)).not.toMatch(/team-b|ProgramData|LinuxBootFiles/);
  });

  it('that cannot be examined is tried again', async () => {
    await using node = await startNode(host);
    const { host: files } = await node.connect();
    await node.control.script({ at: 'openFile', path: 'C:\\disks\\team-a\\data.vhdx', fail: { message: 'in use' } });
    const scope = {
      host: files,
      namespace: 'team-a',
      allowed: allowList({ paths: perNamespace, pipes: [], devices: [] }),
    };
    const disk = { name: 'data', path: 'C:\\disks\\team-a\\data.vhdx', readOnly: false };
    const admission = await FileAdmission.open({ ...scope, bootFolder, closed: [own] });
    const admitted = admission.admitDisk(disk);
    await expect(admitted).rejects.toMatchObject({ reason: 'DiskFailed', message: expect.stringContaining('in use') });
  });
});

describe('boot files', () => {
  const boot = (path: string, paths: readonly string[] = []) =>
    onHost(paths, async (scope) => (await FileAdmission.open(scope)).requireBootFiles([path]));

  it('can be in the boot folder, or be missing', async () => {
    await boot(`${bootFolder}\\vmlinux`);
    await boot(`${bootFolder}\\none`);
    await boot(`${bootFolder}\\moved\\vmlinux`, ['E:\\boot:ro']);
  });

  it('must not be a disk whose content belongs to another tenant', async () => {
    for (const name of ['child.vhd', 'child.vhdx']) {
      const refused = boot(`C:\\disks\\team-a\\${name}`, perNamespace);
      await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('differencing disk') });
    }
  });

  it.each([
    [`${bootFolder}\\moved\\vmlinux`, []],
    ['C:\\PROGRA~3\\lcow\\vms\\0\\rootfs.vhd', ['C:\\']],
    ['C:\\disks\\team-a\\to-own\\vms\\0\\rootfs.vhd', ['C:\\']],
  ])('are refused where they lead elsewhere: %s', async (path, paths) => {
    await expect(boot(path, paths)).rejects.toMatchObject({ reason: 'PathNotAllowed' });
  });
});
