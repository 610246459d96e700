// The files and folders of a simulated disk. Each remembers how to undo its latest changes until they are synced, or
// old enough to be written anyway. A power failure undoes some of them (`losePower`).
import type { Chance } from '../chance.ts';

/** After this many milliseconds, a system writes data that was not synced. */
const writeBack = 30_000;

/** Undoes the change, completely or except for a part. */
type Undo = (chance: Chance) => void;

interface Change {
  readonly at: number;
  readonly undo: Undo;
  /** Leaves a part of the change behind, as a power failure in the middle of it does. */
  readonly tear?: Undo;
}

/** The changes since the last sync, in order. */
class Changes {
  #pending: Change[] = [];

  add(change: Change): void {
    const settled = this.#pending.findIndex(({ at }) => at > change.at - writeBack);
    if (settled !== 0) this.#pending.splice(0, settled < 0 ? this.#pending.length : settled);
    this.#pending.push(change);
  }

  sync(): void {
    this.#pending = [];
  }

  /** A disk writes in order, so the oldest of the changes survive. Returns the number of the lost ones. */
  losePower(now: number, chance: Chance): number {
    const pending = this.#pending.filter(({ at }) => at > now - writeBack);
    this.#pending = [];
    const kept = chance.integer(pending.length + 1);
    const lost = pending.slice(kept);
    for (const [index, { tear, undo }] of [...lost.entries()].reverse()) {
      const isFirst = index === 0;
      if (isFirst && tear !== undefined && chance.happens(0.5)) tear(chance);
      else undo(chance);
    }
    return lost.length;
  }
}

export class FileInode {
  readonly kind = 'file';
  readonly #changes = new Changes();
  /** Grows by doubling: a log is appended to again and again. */
  #room = Buffer.alloc(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get content(): Buffer {
    return this.#room.subarray(0, this.#size);
  }

  empty(now: number): void {
    if (this.#size === 0) return;
    const before = Buffer.from(this.content);
    this.#room = Buffer.alloc(0);
    this.#size = 0;
    this.#changes.add({ at: now, undo: () => this.#restore(0, before, before.length) });
  }

  write(offset: number, bytes: Uint8Array, now: number): void {
    const sizeBefore = this.#size;
    const before = Buffer.from(this.content.subarray(offset, offset + bytes.length));
    this.#put(offset, bytes);
    this.#changes.add({
      at: now,
      undo: () => this.#restore(offset, before, sizeBefore),
      tear: (chance) => this.#tear({ offset, length: bytes.length, before, sizeBefore }, chance),
    });
  }

  sync(): void {
    this.#changes.sync();
  }

  losePower(now: number, chance: Chance): number {
    return this.#changes.losePower(now, chance);
  }

  #put(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.#room.length) {
      const room = Buffer.alloc(Math.max(end, 2 * this.#room.length));
      room.set(this.content);
      this.#room = room;
    }
    this.#room.set(bytes, offset);
    this.#size = Math.max(this.#size, end);
  }

  #restore(offset: number, before: Uint8Array, size: number): void {
    this.#put(offset, before);
    this.#room.fill(0, size, this.#size);
    this.#size = size;
  }

  /** The file ends after a part of the write, or it has its whole size and zeros for the rest, as NTFS leaves it. */
  #tear(write: TornWrite, chance: Chance): void {
    const { before, length, offset, sizeBefore } = write;
    const written = chance.integer(length);
    const isFilled = chance.happens(0.5);
    const size = isFilled ? this.#size : Math.max(sizeBefore, offset + written);
    const rest = Buffer.alloc(length - written);
    rest.set(before.subarray(written));
    this.#put(offset + written, rest);
    this.#size = size;
  }
}

interface TornWrite {
  readonly offset: number;
  readonly length: number;
  /** The replaced bytes. */
  readonly before: Uint8Array;
  readonly sizeBefore: number;
}

export type Inode = FileInode | FolderInode;

export class FolderInode {
  readonly kind = 'folder';
  readonly #changes = new Changes();
  readonly #entries = new Map<string, Inode>();

  get entries(): ReadonlyMap<string, Inode> {
    return this.#entries;
  }

  /** Sets all of these entries at once; undefined removes an entry. */
  change(entries: readonly (readonly [name: string, inode: Inode | undefined])[], now: number): void {
    const before = entries.map(([name]) => [name, this.#entries.get(name)] as const);
    this.#set(entries);
    this.#changes.add({ at: now, undo: () => this.#set(before) });
  }

  sync(): void {
    this.#changes.sync();
  }

  losePower(now: number, chance: Chance): number {
    return this.#changes.losePower(now, chance);
  }

  #set(entries: readonly (readonly [name: string, inode: Inode | undefined])[]): void {
    for (const [name, inode] of entries) {
      if (inode === undefined) this.#entries.delete(name);
      else this.#entries.set(name, inode);
    }
  }
}
