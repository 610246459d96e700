// Archives that depend on their contents only: neither on when, where, nor by whom they are made.
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

export interface ArchivedFile {
  /** Below the root of the archive, with forward slashes. */
  readonly path: string;
  readonly content: string | Buffer;
  readonly isExecutable?: boolean;
}

/** npm gives its packages this time, too: some file systems have none that is earlier than 1980. */
const mtime = new Date('1985-10-26T08:15:00Z');

export async function tarGzip(files: readonly ArchivedFile[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, isExecutable = false, path } of files) {
    archive.entry({ name: path, mode: isExecutable ? 0o755 : 0o644, mtime, uid: 0, gid: 0 }, content);
  }
  archive.finalize();
  return await buffer(archive.pipe(createGzip()));
}
