// What a VM boots, and how.
import { z } from 'zod';
import { commandText, fileName, flag, rules, windowsPath } from '../fields.ts';

export const boot = z
  .object({
    filesPath: windowsPath(
      'Folder of kernel and root file system on the host: its default boot folder, which absent means, or one below it, or one that its agent allows.',
    ).optional(),
    kernelFile: fileName(
      'Kernel in that folder. Absent means vmlinux if it is there and boot is kernel-direct, else kernel.',
      'boot.filesPath',
    ).optional(),
    rootFSFile: fileName(
      'Root file system in that folder. Absent means rootfs.vhd if it is there, else initrd.img.',
      'boot.filesPath',
    ).optional(),
    rootFSType: z
      .enum(['InitRd', 'VHD'])
      .meta({
        description:
          'What the root file system is. Alone it also resets the root file to initrd.img or rootfs.vhd respectively.',
      })
      .optional(),
    kernelDirect: flag(
      'Boot the kernel without UEFI; the default where the host can. False also resets an absent kernelFile to kernel.',
    ),
    kernelOptions: commandText(
      'Further kernel arguments. The kernel reads 2,047 bytes of its whole command line, which ends in the command of the guest, and the word -- ends its arguments; status.warnings tells of both.',
    ).optional(),
    execCommandLine: commandText(
      'What init executes. Absent means /bin/gcs -v4 -log-format json -loglevel <guest.logLevel>.',
    ).optional(),
    extraExecArgs: commandText('Arguments to append to execCommandLine, or to its default.').optional(),
    writableOverlayDirs: flag('Put writable overlays over a VHD root file system; without effect on an initrd.'),
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
