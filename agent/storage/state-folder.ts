// The agent's state folder: for this account only. Somebody else's folder is refused, since what lies in it is believed.
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What the journal, documents and logs of VMs are kept in, below the state folder. */
const machines = 'vms';

export async function openStateFolder(stateDir: string): Promise<void> {
  if (process.platform === 'win32') return await openOnWindows(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const problem = await stateFolderProblem(stateDir);
  if (problem !== undefined) throw new Error(problem);
}

/** Why the folder that is there would be refused; undefined also when there is none. */
export async function stateFolderProblem(stateDir: string): Promise<string | undefined> {
  if (process.platform === 'win32') {
    const { privateFolderProblem } = await import('../windows/private-folder.ts');
    return await privateFolderProblem(stateDir);
  }
  const found = await stat(stateDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  const self = process.getuid?.();
  if (found.uid !== self) return `the state folder ${stateDir} belongs to user ${found.uid}, not to ${self}`;
  return (found.mode & 0o022) === 0 ? undefined : `the state folder ${stateDir} can be written by others: chmod 700 it`;
}

/** A kubelet makes the folder of a mount with the access that every user of the host has below %ProgramData%. */
async function openOnWindows(stateDir: string): Promise<void> {
  const { openPrivateFolder } = await import('../windows/private-folder.ts');
  for (const folder of [stateDir, join(stateDir, machines)]) await openPrivateFolder(folder);
}
