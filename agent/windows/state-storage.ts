// The agent's state folder on Windows, for SYSTEM, Administrators and this account, and the locks that keep a second
// agent off the node (docs/design.md §8). One lock is a file in the folder. The other is the name of a pipe that only
// Administrators can create, because two agents on a node may have different folders. Native code is loaded with the
// first call.
import { join } from 'node:path';
import type { StateStorage, TryLock } from '../node/state-storage.ts';
import { nodeFileSystem } from '../storage/file-system.ts';
import { isListening, tryListen } from '../storage/name-lock.ts';

const lockFile = 'agent.lock';
/** Only Administrators can create a pipe below this prefix. */
const nodePipe = '\\\\.\\pipe\\ProtectedPrefix\\Administrators\\lcow-agent';

export const windowsStorage: StateStorage = {
  files: nodeFileSystem,
  /**
   * A kubelet creates the folder of a mount with the default access of %ProgramData%, which every user of the host has.
   */
  async openFolder(stateDir) {
    const { openPrivateFolder } = await import('./private-folder.ts');
    for (const folder of [stateDir, join(stateDir, 'vms')]) await openPrivateFolder(folder);
  },
  async folderProblem(stateDir) {
    const { privateFolderProblem } = await import('./private-folder.ts');
    return await privateFolderProblem(stateDir);
  },
  locks: (stateDir, warn) => [lockOfFolder(stateDir), lockOfNode(warn)],
};

function lockOfFolder(stateDir: string): TryLock {
  return async () => {
    const { openExclusively } = await import('./exclusive-file.ts');
    const file = openExclusively(join(stateDir, lockFile));
    return file && { release: () => file.close() };
  };
}

/** An account that is not an Administrator cannot create the pipe: then only the folder's lock applies. */
function lockOfNode(warn: (text: string) => void): TryLock {
  return async () => {
    const lock = await tryListen(nodePipe);
    if (lock !== undefined || (await isListening(nodePipe))) return lock;
    warn(`this account cannot make ${nodePipe}: it cannot stop a second agent with another state folder`);
    return { release: () => undefined };
  };
}
