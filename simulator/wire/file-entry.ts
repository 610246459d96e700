// A file of a simulated Windows node.
import { z } from 'zod';
import { fileContent } from './file-content.ts';

export const fileEntry = z.object({
  path: z.string(),
  size: z.int().min(0),
  /** The group of all VMs has full access. */
  isGranted: z.boolean(),
  /** The group of all VMs has at least read access. */
  isReadable: z.boolean().exactOptional(),
  /** Single VMs that have access. */
  grantedTo: z.array(z.string()).exactOptional(),
  content: fileContent.exactOptional(),
});
export type FileEntry = z.infer<typeof fileEntry>;
