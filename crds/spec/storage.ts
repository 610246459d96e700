// Controllers, quality of service and disks of a VM.
import { z } from 'zod';
import { count, flag, listMap, rules, windowsPath } from '../fields.ts';
import { distinctMountPaths, mountPathRules } from './mount-paths.ts';

const maxInt32 = 0x7fff_ffff;
/** Four SCSI controllers of 64 slots. */
const maxDisks = 256;

const disk = z.object({
  name: z
    .string()
    .min(1)
    .max(63)
    .meta({
      description: 'Tells this disk from the others.',
      ...rules({
        rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: 'must be lower-case letters, digits and -, no - at either end',
      }),
    }),
  path: windowsPath(
    'The VHD or VHDX on the host, without a parent. The agent of the host must allow its folder, and writing to it.',
  ),
  readOnly: z.boolean().meta({ description: 'Attach it read-only.' }).default(false),
  mountPath: z
    .string()
    .min(2)
    .max(255)
    .meta({
      description:
        'Where the guest mounts it: an empty folder, or one that is not there yet. Absent means /run/mounts/scsi/m<n>.',
      ...rules(...mountPathRules),
    })
    .optional(),
});

export const storage = z
  .object({
    scsiControllerCount: count(
      'SCSI controllers; 4 in any case on build 17763 and later without VPMem.',
      0,
      4,
    ).optional(),
    vpmem: z
      .object({
        deviceCount: count('VPMem devices; absent means 64, on arm64 none.', 0, 128).optional(),
        deviceSizeInBytes: z
          .int()
          .min(4096)
          .max(Number.MAX_SAFE_INTEGER)
          .multipleOf(4096)
          .meta({ description: 'Size of each; absent means 4 GiB. A multiple of 4096.' })
          .optional(),
        multiMapping: flag('Let several layers share a device; the default on build 18362 and later.'),
      })
      .meta({ description: 'Virtual persistent memory devices. Not on arm64.' })
      .optional(),
    qos: z
      .object({
        iopsMaximum: count('Ceiling of I/O operations a second; 0 means none.', 0, maxInt32).optional(),
        bandwidthMaximum: count('Ceiling of bytes a second; 0 means none.', 0, maxInt32).optional(),
      })
      .meta({ description: 'Limits of the VM’s storage.' })
      .optional(),
    disks: z
      .array(disk)
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
