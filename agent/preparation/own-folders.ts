// The agent's own folders, by their Windows paths. A manifest may not name anything below or above them: they contain
// the journals and files of every tenant's VM, and the tokens of nodes and pods.
import { dirname } from 'node:path';
import type { PathRule } from './paths/path-rules.ts';
import { isWithin, pathProblem, segmentsOf } from './paths/windows-names.ts';

/**
 * Where containerd mounts the root of a HostProcess container; its secrets; the kubelet's folder with the secrets of
 * all pods.
 */
const knownFolders = ['C:\\hpc', 'C:\\C', 'C:\\var\\run\\secrets', 'C:\\var\\lib\\kubelet'] as const;

export interface OwnFolderSources {
  readonly stateFolder: string;
  /** Absolute paths. */
  readonly credentials: readonly (string | undefined)[];
  readonly environment: NodeJS.ProcessEnv;
}

export function ownFolders({ credentials, environment, stateFolder }: OwnFolderSources): readonly string[] {
  const given = [
    environment['CONTAINER_SANDBOX_MOUNT_POINT'],
    ...credentials.filter((file) => file !== undefined).map((file) => dirname(file)),
  ];
  return [stateFolder, ...knownFolders, ...given.filter((folder) => folder !== undefined).filter(isFolder)];
}

/** A folder on a Windows host, but not a whole drive, which would close everything. */
function isFolder(path: string): boolean {
  return pathProblem(path) === undefined && segmentsOf(path).length > 1;
}

/** The first rule that can never allow anything. */
export function uselessRule(rules: readonly PathRule[], own: readonly string[]): PathRule | undefined {
  const folders = own.filter((folder) => pathProblem(folder) === undefined).map(segmentsOf);
  return rules.find(({ folder }) => folders.some((each) => isWithin(segmentsOf(folder), each)));
}
