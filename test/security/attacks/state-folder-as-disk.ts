// Disks and shares that are files or folders of the agent: journals, logs and staged files of other tenants' VMs, and the tokens of the node.
import type { Attack } from '../attack.ts';
import { attempt, disk, share } from '../path-attempts.ts';

const staged = 'vms\\6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f\\rootfs.vhd';
const disks = [
  `C:\\ProgramData\\lcow\\${staged}`,
  `c:/PROGRAMDATA/Lcow/vms/6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f/vm.json`,
  // All of these paths lead there, from below an allowed folder.
  `C:\\disks\\to-own\\${staged}`,
  `C:\\disks\\PROGRA~3\\lcow\\${staged}`,
  'C:\\hpc\\var\\run\\secrets\\lcow-operator\\token',
  'C:\\var\\lib\\kubelet\\pods\\x\\volumes\\token',
  // A folder, and disks whose content belongs to another tenant.
  'C:\\disks',
  'C:\\disks\\child-of-other.vhdx',
  'C:\\disks\\child-of-other.vhd',
];
const folders = [
  `C:\\ProgramData\\lcow\\vms\\6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f`,
  'C:\\ProgramData',
  'C:\\disks\\to-own\\vms\\6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f',
  'C:\\Windows\\System32\\config',
];

export const stateFolderAsDisk: Attack = {
  name: 'state-folder-as-disk',
  party: 'namespace editor',
  promise: 'No VM gets files of the agent or of another tenant, as a disk, a share, a kernel or a root file system.',
  short: true,
  run: (target) =>
    attempt(target, 'state-folder', [
      ...disks.flatMap((path) => [true, false].map((readOnly) => ({ what: path, spec: disk(path, readOnly) }))),
      ...folders.flatMap((path) =>
        [true, false].map((readOnly) => ({ what: `share ${path}`, spec: share(path, readOnly) })),
      ),
      ...folders.map((filesPath) => ({
        what: `boot from ${filesPath}`,
        spec: { boot: { filesPath, kernelFile: 'vm.json', rootFSFile: 'rootfs.vhd', rootFSType: 'VHD' } },
      })),
    ]),
};
