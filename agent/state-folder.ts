// The agent's state folder: for this account only. Somebody else's folder is refused, since what lies in it is believed.
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What the journal, documents and logs of VMs are kept in, below the state folder. */
const machines = 'vms';

export async function openStateFolder(stateDir: string): Promise<void> {
  if (process.platform === 'win32') return await openOnWindows(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const { uid, mode } = await stat(stateDir);
  const self = process.getuid?.();
  if (self === undefined) return;
  if (uid !== self) throw new Error(`the state folder ${stateDir} belongs to user ${uid}, not to ${self}`);
  if ((mode & 0o022) !== 0) throw new Error(`the state folder ${stateDir} can be written by others: chmod 700 it`);
}

/** A kubelet makes the folder of a mount with the access that every user of the host has below %ProgramData%. */
async function openOnWindows(stateDir: string): Promise<void> {
  const { openPrivateFolder } = await import('./windows/private-folder.ts');
  for (const folder of [stateDir, join(stateDir, machines)]) await openPrivateFolder(folder);
}
