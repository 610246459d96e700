// Controllers, quality of service and disks of a VM.
import { z } from 'zod';
import { count, flag, listMap, type Rule, rules, windowsPath } from '../fields.ts';
import { distinctMountPaths, mountPathRules } from './mount-paths.ts';

const maxInt32 = 0x7fff_ffff;
/** Four SCSI controllers of 64 slots. */
const maxDisks = 256;

/** What the guest agent can mount. */
export const filesystems = ['ext4', 'xfs'] as const;

const disk = z.object({
  name: z
    .string()
    .min(1)
    .max(63)
    .meta({
      description: 'Identifies the disk within the VM.',
      ...rules({
        rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: 'must be lower-case letters, digits and -, no - at either end',
      }),
    }),
  path: windowsPath(
    'The VHD or VHDX file on the host. It must not have a parent. The agent of the host must allow its folder, and writing there unless readOnly is true.',
  ),
  readOnly: z.boolean().meta({ description: 'Attach the disk read-only.' }).default(false),
  mountPath: z
    .string()
    .min(2)
    .max(255)
    .meta({
      description:
        'Where the guest mounts the disk: an empty folder, or one that does not exist yet. Absent means /run/mounts/scsi/m<n>.',
      ...rules(...mountPathRules),
    })
    .optional(),
  filesystem: z
    .enum(filesystems)
    .meta({
      description:
        'The file system that the guest mounts. Absent means ext4, ext3 or ext2, which the guest recognises; it recognises nothing else.',
    })
    .optional(),
  ensureFilesystem: z
    .boolean()
    .meta({
      description:
        'Format the disk with ext4 when it holds no ext2, ext3 or ext4. THIS ERASES whatever else is on it, such as xfs or a partition table. What is on a disk with ext4 stays.',
    })
    .optional(),
});

const isEnsured = 'self.?ensureFilesystem.orValue(false)';
const filesystemRules: readonly Rule[] = [
  {
    rule: `!${isEnsured} || self.?filesystem.orValue('') == 'ext4'`,
    message: 'ensureFilesystem needs filesystem ext4: the guest would format a disk with xfs each time',
    fieldPath: '.filesystem',
  },
  {
    rule: `!${isEnsured} || !self.readOnly`,
    message: 'ensureFilesystem must not be true with readOnly: no guest can format such a disk; leave one of them out',
    fieldPath: '.ensureFilesystem',
  },
  {
    rule: "self.?filesystem.orValue('') != 'xfs' || !self.readOnly",
    message: 'filesystem must not be xfs with readOnly: the guest cannot mount such a disk; leave readOnly out',
    fieldPath: '.filesystem',
  },
];

export const storage = z
  .object({
    scsiControllerCount: count(
      'Number of SCSI controllers. Always 4 on build 17763 and later without VPMem.',
      0,
      4,
    ).optional(),
    vpmem: z
      .object({
        deviceCount: count('Number of VPMem devices. Absent means 64, or none on arm64.', 0, 128).optional(),
        deviceSizeInBytes: z
          .int()
          .min(4096)
          .max(Number.MAX_SAFE_INTEGER)
          .multipleOf(4096)
          .meta({ description: 'Size of each device, a multiple of 4096. Absent means 4 GiB.' })
          .optional(),
        multiMapping: flag('Let several layers share a device. True is the default on build 18362 and later.'),
      })
      .meta({ description: 'Virtual persistent memory devices. Not on arm64.' })
      .optional(),
    qos: z
      .object({
        iopsMaximum: count('Most I/O operations per second; 0 means no limit.', 0, maxInt32).optional(),
        bandwidthMaximum: count('Most bytes per second; 0 means no limit.', 0, maxInt32).optional(),
      })
      .meta({ description: 'Limits of the VM’s storage.' })
      .optional(),
    disks: z
      .array(disk.meta(rules(...filesystemRules)))
      .max(maxDisks)
      .meta({
        description: 'SCSI disks to attach. Can change while the VM runs.',
        ...listMap('name'),
        ...rules(...distinctMountPaths),
      })
      .optional(),
  })
  .meta({ description: 'Controllers, disks and their limits.' })
  .optional();
