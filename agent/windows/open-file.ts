// A file of the node, opened through Node alone, so that callers that need only this load no native code.
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import type { OpenFile } from '../node/host.ts';

/** Error codes of a missing path. A missing folder on the way counts, too. */
const notFoundCodes: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);

/** `WindowsHost.withFile`. */
export async function withLocalFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    return await use(await describe(path, file));
  } finally {
    await file.close();
  }
}

/**
 * Node calls GetFinalPathNameByHandleW with a handle of its own. Comparing file identities proves that both handles
 * refer to the same file, so nobody can redirect a link in between.
 */
async function describe(path: string, file: FileHandle): Promise<OpenFile> {
  const [held, finalPath] = await Promise.all([file.stat({ bigint: true }), realpath(path)]);
  const found = await stat(finalPath, { bigint: true });
  if (held.ino !== found.ino || held.dev !== found.dev) throw new Error(`${path} changed while it was being examined`);
  return {
    kind: held.isDirectory() ? 'folder' : 'file',
    path: finalPath,
    size: Number(held.size),
    async read(offset, length) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    },
  };
}

export function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && notFoundCodes.has(String(error.code));
}
