// The agent's state folder on systems other than Windows, accessible to the agent's account only. It serves simulated
// hosts, many on one computer, so each lock belongs to a folder and not to the computer.
import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import type { StateStorage } from '../node/state-storage.ts';
import { nodeFileSystem } from './file-system.ts';
import { tryListen } from './name-lock.ts';

export const localStorage: StateStorage = {
  files: nodeFileSystem,
  async openFolder(stateDir) {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const problem = await folderProblem(stateDir);
    if (problem !== undefined) throw new Error(problem);
  },
  folderProblem,
  locks(stateDir) {
    const digest = createHash('sha256').update(stateDir).digest('hex').slice(0, 16);
    return [() => tryListen(`\0lcow-agent-${digest}`)];
  },
};

async function folderProblem(stateDir: string): Promise<string | undefined> {
  const found = await stat(stateDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  const self = process.getuid?.();
  if (found.uid !== self) return `the state folder ${stateDir} belongs to user ${found.uid}, not to ${self}`;
  return (found.mode & 0o022) === 0 ? undefined : `the state folder ${stateDir} can be written by others: chmod 700 it`;
}
