// Which files of the host the manifests of one namespace may name (docs/design.md §10). A pure function: it judges a
// path as spelled, and is called again with the final path that the host reports.

import { type PathRule, ruleOf } from './path-rules.ts';
import { isWithin, pathProblem, segmentsOf } from './windows-names.ts';

export interface PathPolicy {
  /** The rules of the agent's flags, for this namespace. */
  readonly rules: readonly PathRule[];
  /** The host's boot folder. All VMs boot from it, so none may write to it. */
  readonly bootFolder: string;
  /** The agent's own folders, including the one with its token. */
  readonly closed: readonly string[];
}

export type PathUse = 'boot' | 'readOnlyDisk' | 'writableDisk' | 'readOnlyShare' | 'writableShare';

/** Why the path is refused, as the end of a sentence about it. Reveals nothing about other users' files. */
export function refusalOf(path: string, use: PathUse, policy: PathPolicy): string | undefined {
  const problem = pathProblem(path);
  if (problem !== undefined) return `${problem}: write the path as Windows shows it`;
  if (policy.closed.some((folder) => touches(path, folder))) {
    return 'is below or above a folder that no manifest may name: choose another folder';
  }
  if (use === 'boot') return refusalToBoot(path, policy);
  const isWritten = use === 'writableDisk' || use === 'writableShare';
  const refusal = refusalToUse(path, isWritten, policy);
  return refusal ?? (use === 'writableShare' ? refusalToShare(path, policy) : undefined);
}

function refusalToBoot(path: string, { bootFolder, rules }: PathPolicy): string | undefined {
  if (isWithin(segmentsOf(path), segmentsOf(bootFolder)) || ruleOf(path, rules) !== undefined) return undefined;
  return 'is neither below the host’s folder of boot files nor below a folder that its agent allows (--allowed-path): choose such a folder, or leave it out';
}

function refusalToUse(path: string, isWritten: boolean, { bootFolder, rules }: PathPolicy): string | undefined {
  const rule = ruleOf(path, rules);
  if (rule === undefined) {
    return 'is not below a folder that the agent of this host allows for this namespace (--allowed-path): choose such a folder, or have it allowed';
  }
  if (!isWritten) return undefined;
  if (rule.isReadOnly) return 'is in a folder that the agent allows for reading only: set readOnly to true';
  if (touches(path, bootFolder))
    return 'is in the folder of boot files, which nobody may write to: set readOnly to true';
  return undefined;
}

/** A guest can write everywhere below a folder that is shared with it. */
function refusalToShare(path: string, { rules }: PathPolicy): string | undefined {
  const folder = segmentsOf(path);
  const hasReadOnly = rules.some((rule) => rule.isReadOnly && isWithin(segmentsOf(rule.folder), folder));
  return hasReadOnly
    ? 'contains a folder that the agent allows for reading only: choose another folder, or set readOnly to true'
    : undefined;
}

/** The path is the folder, or below or above it. */
function touches(path: string, folder: string): boolean {
  const [a, b] = [segmentsOf(path), segmentsOf(folder)];
  return isWithin(a, b) || isWithin(b, a);
}
