// The boot section of a spec: what a VM boots, and how.
import { z } from 'zod';
import { commandText, fileName, flag, rules, windowsPath } from '../fields.ts';

export const boot = z
  .object({
    filesPath: windowsPath(
      'Folder on the host that has the kernel and the root file system. Absent means the default boot folder of the host. It may be a folder below that one, or a folder that the agent of the host allows.',
    ).optional(),
    kernelFile: fileName(
      'Kernel in that folder. Absent means vmlinux if that file exists and the boot is kernel-direct, else kernel.',
      'boot.filesPath',
    ).optional(),
    rootFSFile: fileName(
      'Root file system in that folder. Absent means rootfs.vhd if that file exists, else initrd.img.',
      'boot.filesPath',
    ).optional(),
    rootFSType: z
      .enum(['InitRd', 'VHD'])
      .meta({
        description:
          'Kind of the root file system. Without rootFSFile it also selects the file: initrd.img or rootfs.vhd.',
      })
      .optional(),
    kernelDirect: flag(
      'Boot the kernel without UEFI. True is the default on hosts that can do it. False also makes an absent kernelFile mean kernel.',
    ),
    kernelOptions: commandText(
      'Further kernel arguments. The kernel reads 2,047 bytes of its whole command line, which ends in the command of the guest, and the word -- ends its arguments; status.warnings tells of both. A word without = or . that the kernel does not know becomes an argument of init, and the guest does not boot.',
    ).optional(),
    execCommandLine: commandText(
      'The command that init executes. The kernel takes at most 32 arguments for init, including those that the agent adds. Absent means /bin/gcs -v4 -log-format json -loglevel <guest.logLevel>.',
    ).optional(),
    extraExecArgs: commandText('Arguments to append to execCommandLine, or to its default.').optional(),
    writableOverlayDirs: flag('Put writable overlays over a VHD root file system. No effect on an initrd.'),
    dmVerityMode: flag('Verify a VHD root file system on SCSI by dm-verity. Needs dmVerityCreateArgs.'),
    dmVerityCreateArgs: commandText('The value of dm-mod.create= for dmVerityMode.').optional(),
  })
  .meta({
    description: 'What the VM boots, and how.',
    ...rules(
      {
        rule: "!self.?dmVerityMode.orValue(false) || self.?dmVerityCreateArgs.orValue('') != ''",
        message: 'boot.dmVerityCreateArgs is required with boot.dmVerityMode: set it, or leave dmVerityMode out',
        fieldPath: '.dmVerityCreateArgs',
      },
      {
        // On a UEFI boot the name becomes part of the kernel command line, as initrd=/<name>.
        rule: "!has(self.rootFSFile) || !self.rootFSFile.contains(' ')",
        message: 'boot.rootFSFile must not contain spaces, which would begin another kernel argument: rename the file',
        fieldPath: '.rootFSFile',
      },
    ),
  })
  .optional();
