// Files that the plugin writes for its user.
import { randomUUID } from 'node:crypto';
import { link, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Writes a file that only its owner can read. Nobody sees a part of it under its name, and an existing file stays as it
 * is.
 */
export async function writeNew(path: string, bytes: Buffer): Promise<void> {
  const part = join(dirname(path), `.${randomUUID()}.part`);
  try {
    await writeFile(part, bytes, { flag: 'wx', mode: 0o600 });
    await link(part, path);
  } finally {
    await rm(part, { force: true });
  }
}
