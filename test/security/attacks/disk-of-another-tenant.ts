// A namespace editor names the disk that the VM of another team writes to, in order to read it or write to it.
import type { Attack } from '../attack.ts';
import { contest } from '../contest.ts';

const name = 'disk-of-another-tenant';
const disk = (path: string, readOnly = false) => ({ storage: { disks: [{ name: 'data', path, readOnly }] } });

export const diskOfAnotherTenant: Attack = {
  name,
  party: 'namespace editor',
  promise: 'A writable disk belongs to one VM of a host; another VM waits, even to read it or to boot from it.',
  short: true,
  run: (target) =>
    contest(target, {
      name,
      owned: disk(String.raw`C:\disks\teams\rootfs.vhd`),
      wanted: [
        disk(String.raw`C:\disks\teams\rootfs.vhd`),
        disk(String.raw`C:\disks\teams\rootfs.vhd`, true),
        disk(String.raw`c:\DISKS\TEAMS\RootFS.vhd`),
        disk('C:/disks/teams/rootfs.vhd', true),
        disk(String.raw`C:\disks\teams\.\rootfs.vhd`),
        disk(String.raw`C:\disks\teams\rootfs.vhd.`),
        disk(String.raw`\\?\C:\disks\teams\rootfs.vhd`),
        disk(String.raw`C:\disks\TEAMSO~1\rootfs.vhd`, true),
        disk(String.raw`C:\disks\to-teams\rootfs.vhd`),
        { boot: { filesPath: String.raw`C:\disks\teams`, rootFSType: 'VHD' } },
      ],
      reason: 'DiskInUse',
    }),
};
