// The file system of this computer, with what Windows needs: it refuses to read, rename or delete a file that somebody
// has open without sharing it, as virus scanners and backups do for moments. These calls are tried again for about a
// second.
import { appendFile, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { delay, systemClock } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import type { FileSystem } from '../node/file-system.ts';

const { heldRetries, removalRetry } = fixedTimes.storage;
const removal = { recursive: true, force: true, maxRetries: 7, retryDelay: removalRetry } as const;
const [folderMode, fileMode] = [0o700, 0o600];

export const nodeFileSystem: FileSystem = {
  async mkdir(path) {
    await mkdir(path, { recursive: true, mode: folderMode });
  },
  readdir: (path) => readdir(path, { withFileTypes: true }),
  open: (path, flags) => open(path, flags, fileMode),
  readFile: (path) => patiently(() => readFile(path, 'utf8')),
  appendFile: (path, content) => appendFile(path, content, { mode: fileMode }),
  rename: (from, to) => patiently(() => rename(from, to)),
  rm: (path) => rm(path, removal),
  syncFolder: process.platform === 'win32' ? syncWindowsFolder : (path) => syncOpened(path, 'r'),
};

const heldCodes: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'EBUSY']);
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (const pause of heldRetries) {
    try {
      return await call();
    } catch (error) {
      if (!hasCode(error, heldCodes)) throw error;
      await delay(systemClock, pause);
    }
  }
  return await call();
}

/** What a file system answers that cannot flush a folder on its own. */
const cannotSyncCodes: ReadonlySet<string> = new Set([...heldCodes, 'EBADF', 'EINVAL', 'EISDIR', 'ENOSYS', 'ENOTSUP']);

/**
 * FlushFileBuffers needs a handle that may write. Where the file system does not flush folders at all, nothing more can
 * be done, and the agent must be able to work there.
 */
async function syncWindowsFolder(path: string): Promise<void> {
  await syncOpened(path, 'r+').catch((error: unknown) => {
    if (!hasCode(error, cannotSyncCodes)) throw error;
  });
}

async function syncOpened(path: string, flags: 'r' | 'r+'): Promise<void> {
  const folder = await open(path, flags);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function hasCode(error: unknown, codes: ReadonlySet<string>): boolean {
  return error instanceof Error && 'code' in error && codes.has(String(error.code));
}
