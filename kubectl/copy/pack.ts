// An archive of a file or folder here, for a guest. Links stay links; devices and pipes are left out and reported.
import { createReadStream } from 'node:fs';
import { lstat, opendir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Header, type Pack, pack } from 'tar-stream';
import { sentNames } from './scripts.ts';

/** Yields the archive. The last entry says that all others are there. */
export async function* packed(path: string, onLeftOut: (path: string) => void): AsyncGenerator<Buffer> {
  // A link as the source means what it points at.
  await stat(path);
  const archive = pack();
  const adding = add(archive, path, sentNames.data, { onLeftOut, isSource: true }).then(() => {
    archive.entry({ name: sentNames.complete }, '');
    archive.finalize();
  });
  adding.catch((error: Error) => archive.destroy(error));
  for await (const chunk of archive) yield Buffer.from(chunk);
  await adding;
}

interface AddOptions {
  readonly onLeftOut: (path: string) => void;
  readonly isSource: boolean;
}

async function add(archive: Pack, path: string, name: string, { isSource, onLeftOut }: AddOptions): Promise<void> {
  const found = isSource ? await stat(path) : await lstat(path);
  const header = { name, mode: found.mode & 0o777, mtime: found.mtime, uid: 0, gid: 0 };
  if (found.isDirectory()) {
    archive.entry({ ...header, type: 'directory' }, '');
    for await (const { name: child } of await opendir(path)) {
      await add(archive, join(path, child), `${name}/${child}`, { onLeftOut, isSource: false });
    }
  } else if (found.isFile()) await addFile(archive, path, { ...header, size: found.size });
  else if (found.isSymbolicLink()) archive.entry({ ...header, type: 'symlink', linkname: await readlink(path) }, '');
  else if (isSource) throw new Error(`${path} is neither a file nor a folder`);
  else onLeftOut(path);
}

/** A file that changes its size meanwhile fails the copy. */
async function addFile(archive: Pack, path: string, header: Header): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const entry = archive.entry(header, (error) => (error == null ? resolve() : reject(error)));
    pipeline(createReadStream(path), entry).catch(reject);
  });
}
