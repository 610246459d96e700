// The files of a simulated Windows node: case-insensitive paths, sizes, and the access of the VM group.
// test/golden/README.md, "The simulated host", has the rules for folders and copies. Errors have the wording of
// Windows.
import { win32 } from 'node:path';
import type { FileFact, OpenFile, VmGroupAccess } from '../../agent/node/host.ts';
import { bytesOf } from '../wire/file-content.ts';
import type { FileEntry } from '../wire/file-entry.ts';

export const causes = {
  notFound: 'The system cannot find the file specified.',
  accessDenied: 'Access is denied.',
  inUse: 'The process cannot access the file because it is being used by another process.',
} as const;

/** The same limit as in Windows, for one file. */
const maxLinks = 63;

export class FileTable {
  readonly #entries = new Map<string, FileEntry>();
  readonly #existingFolder: string;
  readonly #links: ReadonlyMap<string, string>;

  /**
   * `existingFolder` exists even without files. `links` are other paths of files and folders: junctions, symbolic
   * links, 8.3 names.
   */
  constructor(entries: Iterable<FileEntry>, existingFolder: string, links: Readonly<Record<string, string>> = {}) {
    this.#existingFolder = keyOf(existingFolder);
    this.#links = new Map(Object.entries(links).map(([path, target]) => [keyOf(path), target]));
    for (const entry of entries) this.#entries.set(keyOf(entry.path), entry);
  }

  entries(): readonly FileEntry[] {
    return [...this.#entries.values()];
  }

  /** The target of the path, spelled as in the description. */
  open(path: string): Omit<OpenFile, 'read'> | undefined {
    const key = this.#keyOf(path);
    const entry = this.#entries.get(key);
    if (entry !== undefined) return { kind: 'file', path: entry.path, size: entry.size };
    return this.#isFolder(key) ? { kind: 'folder', path: this.#spelling(key), size: 0 } : undefined;
  }

  /** Undefined when the path is not a file. */
  read(path: string, offset: number, length: number): Buffer | undefined {
    const key = this.#keyOf(path);
    const entry = this.#entries.get(key);
    return entry && bytesOf({ ...entry, filler: key }, offset, length);
  }

  stat(path: string): FileFact {
    const key = this.#keyOf(path);
    const entry = this.#entries.get(key);
    if (entry !== undefined) return { kind: 'file', size: entry.size };
    return this.#isFolder(key) ? { kind: 'folder' } : { kind: 'notFound' };
  }

  isGranted(path: string): boolean {
    return this.#entries.get(this.#keyOf(path))?.isGranted === true;
  }

  /** Names of the files directly in a folder. */
  list(folder: string): readonly string[] {
    const key = this.#keyOf(folder);
    return this.entries()
      .filter((entry) => keyOf(win32.dirname(entry.path)) === key)
      .map((entry) => win32.basename(entry.path));
  }

  /** Adds or replaces a file, as an administrator of the host could. */
  put(entry: FileEntry): void {
    this.#entries.set(this.#keyOf(entry.path), entry);
  }

  /** The cause of a failure; undefined on success. An existing target is replaced and keeps its access. */
  copy(from: string, to: string): string | undefined {
    const source = this.#entries.get(this.#keyOf(from));
    if (source === undefined) return this.#isFolder(this.#keyOf(from)) ? causes.accessDenied : causes.notFound;
    const key = this.#keyOf(to);
    if (this.#isFolder(key)) return causes.accessDenied;
    const isGranted = this.#entries.get(key)?.isGranted === true;
    const { content, size } = source;
    this.#entries.set(key, { path: to, size, isGranted, ...(content && { content }) });
    return undefined;
  }

  delete(path: string): string | undefined {
    const key = this.#keyOf(path);
    if (this.#isFolder(key)) return causes.accessDenied;
    this.#entries.delete(key);
    return undefined;
  }

  /** Access to a folder can be granted, but has no effect. */
  grant(path: string, access: VmGroupAccess = 'all'): string | undefined {
    return this.#change(path, (entry) =>
      access === 'all' ? { ...entry, isGranted: true } : { ...entry, isReadable: true },
    );
  }

  grantTo(id: string, path: string): string | undefined {
    return this.#change(path, ({ grantedTo = [], ...entry }) => ({
      ...entry,
      grantedTo: [...new Set([...grantedTo, id])],
    }));
  }

  revokeFrom(id: string, path: string): string | undefined {
    return this.#change(path, ({ grantedTo = [], ...entry }) => {
      const others = grantedTo.filter((each) => each !== id);
      return others.length === 0 ? entry : { ...entry, grantedTo: others };
    });
  }

  #change(path: string, change: (entry: FileEntry) => FileEntry): string | undefined {
    const key = this.#keyOf(path);
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, change(entry));
    return entry === undefined && !this.#isFolder(key) ? causes.notFound : undefined;
  }

  /** Resolves all links on the way. */
  #keyOf(path: string): string {
    let key = keyOf(path);
    for (let followed = 0; followed < maxLinks; followed += 1) {
      const link = this.#linkOn(key);
      if (link === undefined) return key;
      const [at, target] = link;
      key = keyOf(target + key.slice(at.length));
    }
    return key;
  }

  #linkOn(key: string): readonly [string, string] | undefined {
    return [...this.#links].find(([at]) => key === at || key.startsWith(`${at}\\`));
  }

  /** A folder is spelled as in the path of a file below it. */
  #spelling(key: string): string {
    const file = this.entries().find(({ path }) => keyOf(path).startsWith(`${key}\\`));
    return file === undefined ? win32.normalize(key) : win32.normalize(file.path).slice(0, key.length);
  }

  #isFolder(key: string): boolean {
    if (key === this.#existingFolder) return true;
    const prefix = key.endsWith('\\') ? key : `${key}\\`;
    return this.#entries.keys().some((each) => each.startsWith(prefix));
  }
}

/** A key that is equal for all paths of the same file. A relative name stays unchanged. */
export function keyOf(path: string): string {
  const normal = win32.isAbsolute(path) ? win32.normalize(path) : path;
  const isRoot = /^[a-z]:\\$/i.test(normal);
  let end = normal.length;
  if (!isRoot) while (normal[end - 1] === '\\') end -= 1;
  return normal.slice(0, end).toLowerCase();
}
