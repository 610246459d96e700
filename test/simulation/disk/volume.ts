// The content of a simulated disk: a tree of files and folders with a size limit. Its calls take effect at once.
import type { Chance } from '../chance.ts';
import { FileError } from './file-error.ts';
import { FileInode, FolderInode, type Inode } from './inode.ts';

/** The space that a file or folder needs besides its content. */
const inodeBytes = 512;

export interface VolumePorts {
  /** Milliseconds of simulated time. */
  readonly now: () => number;
  /** The number of bytes that fit. */
  readonly capacity: () => number;
}

export class Volume {
  readonly #ports: VolumePorts;
  readonly #root = new FolderInode();
  #used = 0;

  constructor(ports: VolumePorts) {
    this.#ports = ports;
  }

  /** The number of bytes that files and folders use. */
  get used(): number {
    return this.#used;
  }

  find(path: string): Inode | undefined {
    let inode: Inode | undefined = this.#root;
    for (const name of namesOf(path)) {
      if (inode?.kind !== 'folder') return undefined;
      inode = inode.entries.get(name);
    }
    return inode;
  }

  folder(path: string): FolderInode {
    const inode = this.find(path);
    if (inode === undefined) throw new FileError('ENOENT', path);
    if (inode.kind !== 'folder') throw new FileError('ENOTDIR', path);
    return inode;
  }

  file(path: string): FileInode {
    const inode = this.find(path);
    if (inode === undefined) throw new FileError('ENOENT', path);
    if (inode.kind !== 'file') throw new FileError('EISDIR', path);
    return inode;
  }

  mkdir(path: string): void {
    let folder = this.#root;
    const names = namesOf(path);
    for (const [index, name] of names.entries()) {
      const found = folder.entries.get(name) ?? this.#add(folder, name, new FolderInode(), path);
      if (found.kind !== 'folder') throw new FileError(index === names.length - 1 ? 'EEXIST' : 'ENOTDIR', path);
      folder = found;
    }
  }

  /** The file, or a new one. */
  create(path: string): FileInode {
    if (this.find(path) !== undefined) return this.file(path);
    const { folder, name } = this.#place(path);
    return this.#add(folder, name, new FileInode(), path);
  }

  empty(file: FileInode): void {
    this.#used -= file.size;
    file.empty(this.#ports.now());
  }

  /** Writes the bytes that fit, and fails if these are not all. */
  write(file: FileInode, offset: number, bytes: Uint8Array, path: string): void {
    const growth = Math.max(0, offset + bytes.length - file.size);
    const missing = Math.max(0, growth - this.#free);
    const written = bytes.subarray(0, Math.max(0, bytes.length - missing));
    if (written.length > 0) {
      this.#used += Math.max(0, offset + written.length - file.size);
      file.write(offset, written, this.#ports.now());
    }
    if (written.length < bytes.length) throw new FileError('ENOSPC', path);
  }

  rename(from: string, to: string): void {
    const [source, target] = [this.#place(from), this.#place(to)];
    const moved = source.folder.entries.get(source.name);
    if (moved === undefined) throw new FileError('ENOENT', from);
    const replaced = target.folder.entries.get(target.name);
    if (replaced === moved) return;
    if (replaced?.kind === 'folder') throw new FileError(moved.kind === 'folder' ? 'ENOTEMPTY' : 'EISDIR', to);
    if (replaced !== undefined && moved.kind === 'folder') throw new FileError('ENOTDIR', to);
    if (source.folder !== target.folder) throw new Error(`no simulated disk moves ${from} to another folder`);
    const now = this.#ports.now();
    source.folder.change([[source.name, undefined] as const, [target.name, moved] as const], now);
    if (replaced !== undefined) this.#used -= replaced.size + inodeBytes;
  }

  /** Removes a file or an empty folder, if it exists. */
  remove(path: string): void {
    const inode = this.find(path);
    if (inode === undefined) return;
    if (inode.kind === 'folder' && inode.entries.size > 0) throw new FileError('ENOTEMPTY', path);
    const { folder, name } = this.#place(path);
    folder.change([[name, undefined]], this.#ports.now());
    this.#used -= inodeBytes + (inode.kind === 'file' ? inode.size : 0);
  }

  /** The path itself and everything below it, each folder after its contents. */
  below(path: string, order: (names: readonly string[]) => readonly string[] = sorted): string[] {
    const inode = this.find(path);
    if (inode === undefined) return [];
    const names = inode.kind === 'folder' ? order([...inode.entries.keys()]) : [];
    return [...names.flatMap((name) => this.below(`${path === '/' ? '' : path}/${name}`, order)), path];
  }

  /** Makes the names of all folders on the path of a file or folder durable. */
  syncWay(path: string): void {
    const names = namesOf(path);
    for (let depth = 0; depth < names.length; depth += 1) this.folder(`/${names.slice(0, depth).join('/')}`).sync();
  }

  /** Makes everything durable. */
  sync(): void {
    for (const path of this.below('/')) this.find(path)?.sync();
  }

  /** Returns the number of lost changes. */
  losePower(chance: Chance): number {
    const lost = this.#loseFolder(this.#root, chance);
    this.#used = this.#sizeOf(this.#root) - inodeBytes;
    return lost;
  }

  /** Folders first, because the content of an unreachable file does not matter. */
  #loseFolder(folder: FolderInode, chance: Chance): number {
    let lost = folder.losePower(this.#ports.now(), chance);
    for (const name of sorted([...folder.entries.keys()])) {
      const inode = folder.entries.get(name);
      if (inode?.kind === 'folder') lost += this.#loseFolder(inode, chance);
      else lost += inode?.losePower(this.#ports.now(), chance) ?? 0;
    }
    return lost;
  }

  #sizeOf(inode: Inode): number {
    if (inode.kind === 'file') return inodeBytes + inode.size;
    return [...inode.entries.values()].reduce((sum, each) => sum + this.#sizeOf(each), inodeBytes);
  }

  get #free(): number {
    return Math.max(0, this.#ports.capacity() - this.#used);
  }

  #add<T extends Inode>(folder: FolderInode, name: string, inode: T, path: string): T {
    if (this.#free < inodeBytes) throw new FileError('ENOSPC', path);
    folder.change([[name, inode]], this.#ports.now());
    this.#used += inodeBytes;
    return inode;
  }

  #place(path: string): { readonly folder: FolderInode; readonly name: string } {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new Error('the root of a simulated disk stays as it is');
    return { folder: this.folder(`/${names.join('/')}`), name };
  }
}

function sorted(names: readonly string[]): string[] {
  return [...names].sort();
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}
