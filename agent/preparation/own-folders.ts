// Folders that are the agent's own, by their Windows paths: nothing that a manifest names lies below or above them. In them
// are the journals and files of every tenant's VM, and the tokens by which nodes and pods prove who they are.
import { dirname } from 'node:path';
import type { PathRule } from './paths/path-rules.ts';
import { isWithin, pathProblem, segmentsOf } from './paths/windows-names.ts';

/** Where containerd shows a HostProcess container its root; its secrets; where the kubelet keeps those of all pods. */
const knownFolders = ['C:\\hpc', 'C:\\C', 'C:\\var\\run\\secrets', 'C:\\var\\lib\\kubelet'] as const;

export interface OwnFolderSources {
  readonly stateFolder: string;
  /** Absolute. */
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

/** On a Windows host, and not a whole drive, which would close everything. */
function isFolder(path: string): boolean {
  return pathProblem(path) === undefined && segmentsOf(path).length > 1;
}

/** The first rule that could never allow anything. */
export function uselessRule(rules: readonly PathRule[], own: readonly string[]): PathRule | undefined {
  const folders = own.filter((folder) => pathProblem(folder) === undefined).map(segmentsOf);
  return rules.find(({ folder }) => folders.some((each) => isWithin(segmentsOf(folder), each)));
}
