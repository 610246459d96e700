// Folders of the host that the guest of a VM mounts.
import { z } from 'zod';
import { flag, listMap, rules, windowsPath } from '../fields.ts';
import { distinctGuestPaths, mountPathRules } from './mount-paths.ts';

const maxShares = 64;

const share = z.object({
  name: z
    .string()
    .min(1)
    .max(63)
    .meta({
      description: 'Identifies the share within the VM.',
      ...rules({
        rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: 'must be lower-case letters, digits and -, no - at either end',
      }),
    }),
  path: windowsPath(
    'The folder on the host. The agent of the host must allow it, and writing there unless readOnly is true.',
  ),
  readOnly: z.boolean().meta({ description: 'The guest can only read the folder.' }).default(false),
  guestPath: z
    .string()
    .min(2)
    .max(255)
    .meta({
      description: 'Where the guest mounts the folder: an empty folder of the guest, or one that does not exist yet.',
      ...rules(...mountPathRules),
    }),
});

export const fileShares = z
  .object({
    disableWritable: flag('Refuse writable shares: each share must be readOnly.'),
    shares: z
      .array(share)
      .max(maxShares)
      .meta({
        description: 'Folders of the host to share with the guest over Plan 9. Can change while the VM runs.',
        ...listMap('name'),
        ...rules(...distinctGuestPaths),
      })
      .optional(),
  })
  .meta({
    description: 'File shares of the VM.',
    ...rules({
      rule: '!has(self.disableWritable) || !self.disableWritable || !has(self.shares) || self.shares.all(s, s.readOnly)',
      message:
        'fileShares.shares must be readOnly with disableWritable: set readOnly to true, or leave disableWritable out',
      fieldPath: '.shares',
    }),
  })
  .optional();
