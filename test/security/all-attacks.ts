// Every attack, in the order in which they run.
import type { Attack } from './attack.ts';
import { bootImageWritable } from './attacks/boot-image-writable.ts';
import { getIsNotExec } from './attacks/get-is-not-exec.ts';
import { oddPathSpellings } from './attacks/odd-path-spellings.ts';
import { pathTraversal } from './attacks/path-traversal.ts';
import { stateFolderAsDisk } from './attacks/state-folder-as-disk.ts';
import { strangerRequests } from './attacks/stranger-requests.ts';

export const attacks: readonly Attack[] = [
  pathTraversal,
  getIsNotExec,
  strangerRequests,
  bootImageWritable,
  stateFolderAsDisk,
  oddPathSpellings,
];
