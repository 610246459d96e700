// The files of a simulated Windows node: paths without regard to case, sizes, and whether the VM group may use them.
// Rules of folders and copies: test/golden/README.md, "The simulated host". Causes are in the words of Windows.
import { win32 } from 'node:path';
import { z } from 'zod';
import type { FileFact, VmGroupAccess } from '../../windows-host.ts';

export const fileEntry = z.object({
  path: z.string(),
  size: z.int().min(0),
  /** The group of all VMs has full access. */
  isGranted: z.boolean(),
  /** It may read, at least. */
  isReadable: z.boolean().exactOptional(),
  /** Single VMs that have access. */
  grantedTo: z.array(z.string()).exactOptional(),
});
export type FileEntry = z.infer<typeof fileEntry>;

export const causes = {
  notFound: 'The system cannot find the file specified.',
  accessDenied: 'Access is denied.',
  inUse: 'The process cannot access the file because it is being used by another process.',
} as const;

export class FileTable {
  readonly #entries = new Map<string, FileEntry>();
  readonly #existingFolder: string;

  /** `existingFolder` is there even when no file is. */
  constructor(entries: Iterable<FileEntry>, existingFolder: string) {
    this.#existingFolder = keyOf(existingFolder);
    for (const entry of entries) this.#entries.set(keyOf(entry.path), entry);
  }

  entries(): readonly FileEntry[] {
    return [...this.#entries.values()];
  }

  stat(path: string): FileFact {
    const key = keyOf(path);
    const entry = this.#entries.get(key);
    if (entry !== undefined) return { kind: 'file', size: entry.size };
    return this.#isFolder(key) ? { kind: 'folder' } : { kind: 'notFound' };
  }

  isGranted(path: string): boolean {
    return this.#entries.get(keyOf(path))?.isGranted === true;
  }

  /** Names of the files directly in a folder. */
  list(folder: string): readonly string[] {
    const key = keyOf(folder);
    return this.entries()
      .filter((entry) => keyOf(win32.dirname(entry.path)) === key)
      .map((entry) => win32.basename(entry.path));
  }

  /** The cause of the failure, or undefined. An older target is replaced and keeps its access. */
  copy(from: string, to: string): string | undefined {
    const source = this.#entries.get(keyOf(from));
    if (source === undefined) return this.#isFolder(keyOf(from)) ? causes.accessDenied : causes.notFound;
    const key = keyOf(to);
    if (this.#isFolder(key)) return causes.accessDenied;
    const isGranted = this.#entries.get(key)?.isGranted === true;
    this.#entries.set(key, { path: to, size: source.size, isGranted });
    return undefined;
  }

  delete(path: string): string | undefined {
    const key = keyOf(path);
    if (this.#isFolder(key)) return causes.accessDenied;
    this.#entries.delete(key);
    return undefined;
  }

  /** Folders can be granted, but only files remember it. */
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
    const key = keyOf(path);
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, change(entry));
    return entry === undefined && !this.#isFolder(key) ? causes.notFound : undefined;
  }

  #isFolder(key: string): boolean {
    if (key === this.#existingFolder) return true;
    const prefix = key.endsWith('\\') ? key : `${key}\\`;
    return this.#entries.keys().some((each) => each.startsWith(prefix));
  }
}

/** Paths that mean the same file. A relative name stays as it is. */
export function keyOf(path: string): string {
  const normal = win32.isAbsolute(path) ? win32.normalize(path) : path;
  const isRoot = /^[a-z]:\\$/i.test(normal);
  return (isRoot ? normal : normal.replace(/\\+$/, '')).toLowerCase();
}
