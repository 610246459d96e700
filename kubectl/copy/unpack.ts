// Writes the archive of a hostile guest below one new folder. It makes folders and ordinary files only, each of them new,
// so no link can lead out of the folder. Links, devices and pipes are left out and reported. A hard link to a file of the
// archive stays one: as a copy, a small archive could fill the disk with one file again and again. tar-stream bounds the headers that it keeps
// in memory, and refuses an archive without an end.
import { link, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type Entry, extract, type Header } from 'tar-stream';
import { partsBelowRoot, UnsafeArchive } from './safe-path.ts';

export interface UnpackOptions {
  /** A folder that is empty and that nobody else can write to. */
  readonly folder: string;
  /** The name that the archive's only root gets in the folder, be it a file or a folder. */
  readonly root: string;
  readonly isWindows: boolean;
  /** Reports an entry that is left out. */
  readonly onLeftOut: (name: string, type: string) => void;
}

const mostEntries = 1_000_000;
/** Of all names together, because hard links may name each of them. */
const mostNameCharacters = 64 << 20;

export async function unpack(archive: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void> {
  const entries = extract();
  const source = Readable.from(archive);
  source.on('error', (error) => entries.destroy(error));
  source.pipe(entries);
  const writer = new EntryWriter(options);
  let count = 0;
  for await (const entry of entries) {
    count += 1;
    if (count > mostEntries) throw new UnsafeArchive('it has too many entries');
    await writer.write(entry);
    entry.resume();
  }
  if (!writer.hasRoot) throw new Error('the guest sent nothing that can be copied');
}

class EntryWriter {
  readonly #options: UnpackOptions;
  #root: string | undefined;
  /** Where the files of the archive were written, by their names in it. */
  readonly #files = new Map<string, string>();
  #nameCharacters = 0;
  hasRoot = false;

  constructor(options: UnpackOptions) {
    this.#options = options;
  }

  async write(entry: Entry): Promise<void> {
    const { header } = entry;
    const path = this.#pathOf(header.name);
    switch (header.type) {
      case 'file':
      case 'contiguous-file':
        await writeFile(entry, path);
        this.#files.set(header.name, path);
        this.hasRoot = true;
        break;
      case 'directory':
        await mkdir(path, { recursive: true, mode: modeOf(header, 0o700) });
        this.hasRoot = true;
        break;
      case 'link':
        await this.#link(header, path);
        break;
      default:
        this.#options.onLeftOut(header.name, header.type ?? 'of unknown type');
    }
  }

  #pathOf(name: string): string {
    this.#nameCharacters += name.length;
    if (this.#nameCharacters > mostNameCharacters) throw new UnsafeArchive('its names are too long');
    const { folder, isWindows, root } = this.#options;
    const { parts, root: first } = partsBelowRoot(name, isWindows);
    this.#root ??= first;
    if (first !== this.#root) throw new UnsafeArchive('it has more than one root');
    return join(folder, root, ...parts);
  }

  async #link(header: Header, path: string): Promise<void> {
    const original = this.#files.get(header.linkname ?? '');
    if (original === undefined) return this.#options.onLeftOut(header.name, 'link');
    await mkdir(dirname(path), { recursive: true });
    await link(original, path);
    this.#files.set(header.name, path);
  }
}

async function writeFile(entry: Entry, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'wx', modeOf(entry.header, 0o600));
  try {
    for await (const chunk of entry) await file.write(Buffer.from(chunk));
    const { mtime } = entry.header;
    if (mtime !== undefined && !Number.isNaN(mtime.getTime())) await file.utimes(mtime, mtime);
  } finally {
    await file.close();
  }
}

/** Without the bits that let others write, or let a file run as its owner. */
function modeOf({ mode = 0o755 }: Header, owner: number): number {
  return (mode & 0o755) | owner;
}
