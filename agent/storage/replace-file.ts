// Renames a file, over another one if there is one. On Windows that is refused while somebody has either open without
// sharing it, as virus scanners and backups do for moments: it is tried again for about a second.
import { rename } from 'node:fs/promises';
import { type Clock, delay, systemClock } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';

const heldCodes: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'EBUSY']);

/** Rejects as `rename` does, with the error of the last attempt. */
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
