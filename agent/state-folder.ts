// The agent's state folder: for this account only. Somebody else's folder is refused, since what lies in it is believed.
import { mkdir, stat } from 'node:fs/promises';

export async function openStateFolder(stateDir: string): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const { uid, mode } = await stat(stateDir);
  const self = process.getuid?.();
  if (self === undefined) return;
  if (uid !== self) throw new Error(`the state folder ${stateDir} belongs to user ${uid}, not to ${self}`);
  if ((mode & 0o022) !== 0) throw new Error(`the state folder ${stateDir} can be written by others: chmod 700 it`);
}
