// Every attack, in the order in which they run.
import type { Attack } from './attack.ts';
import { getIsNotExec } from './attacks/get-is-not-exec.ts';
import { pathTraversal } from './attacks/path-traversal.ts';
import { strangerRequests } from './attacks/stranger-requests.ts';

export const attacks: readonly Attack[] = [pathTraversal, getIsNotExec, strangerRequests];
