// Renames a file, replacing an existing one. Windows refuses this while somebody has either file open without sharing
// it, as virus scanners and backups do for moments. The rename is retried for about a second.
import { rename } from 'node:fs/promises';
import { type Clock, delay, systemClock } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';

const heldCodes: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'EBUSY']);

/** Rejects like `rename`, with the error of the last attempt. */
export async function replaceFile(from: string, to: string, clock: Clock = systemClock): Promise<void> {
  for (const pause of fixedTimes.storage.renameRetries) {
    try {
      return await rename(from, to);
    } catch (error) {
      if (!isHeld(error)) throw error;
      await delay(clock, pause);
    }
  }
  await rename(from, to);
}

function isHeld(error: unknown): boolean {
  return error instanceof Error && 'code' in error && heldCodes.has(String(error.code));
}
