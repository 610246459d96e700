// The log of one VM's guest as a file in the VM's folder. An administrator finds the log there when nothing else is
// left, and readers that follow the log are served from the file. The file is rotated by size and never blocks the
// guest: lines that the disk does not take in time are dropped, counted, and reported in the file. Each line begins
// with its position, `<boot>.<sequence> `, so that a reader can continue after any line.
import { join } from 'node:path';
import type { LogPosition } from '../../protocol/streams/messages.ts';
import { ByteBudget } from '../bounds/byte-budget.ts';
import { type FileHandle, type FileSystem, undefinedIfMissing } from '../node/file-system.ts';
import { lastPosition } from './file-lines.ts';
import { LineBatch } from './line-batch.ts';
import type { GuestLogEvents } from './sink.ts';

export interface GuestLogFileOptions extends GuestLogEvents {
  readonly files: FileSystem;
  readonly folder: string;
  /** Most bytes of one file. */
  readonly maxBytes?: number;
  /** Number of older files: `guest.log.1` is the youngest of them. */
  readonly keptFiles?: number;
  /** Most bytes of this guest that wait for the disk. */
  readonly maxWaitingBytes?: number;
  /** Bytes of all guests that wait for the disk. Absent: there is no other guest. */
  readonly waiting?: ByteBudget | undefined;
}

export const guestLogName = 'guest.log';

/** Bytes that may wait for the disk even when other guests have used up the common budget. */
const ownBytes = 64 * 1024;

export class GuestLogFile {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #keptFiles: number;
  readonly #maxWaitingBytes: number;
  readonly #budget: ByteBudget;
  readonly #onDropped: (lines: number) => void;
  readonly #onFailure: (error: Error) => void;
  #waiting = new LineBatch();
  /** The batch that was written last, for reuse. */
  #spare = new LineBatch();
  /** Dropped lines that the file does not report yet. */
  #untold = 0;
  #size: number | undefined;
  #hasFailed = false;
  #writing: Promise<void> | undefined;
  /** How often the files were rotated. A file keeps its number under every name. */
  #newest = 0;
  /** Renaming and opening take turns, so that a number refers to the same file throughout. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();

  constructor(options: GuestLogFileOptions) {
    this.#files = options.files;
    this.#path = join(options.folder, guestLogName);
    this.#maxBytes = options.maxBytes ?? 8 << 20;
    this.#keptFiles = options.keptFiles ?? 3;
    this.#maxWaitingBytes = options.maxWaitingBytes ?? 4 << 20;
    this.#budget = options.waiting ?? new ByteBudget(Number.POSITIVE_INFINITY);
    this.#onDropped = options.onDropped;
    this.#onFailure = options.onFailure;
  }

  /** Never waits and never fails. */
  append(line: string): void {
    const limit = this.#budget.isUsedUp ? Math.min(ownBytes, this.#maxWaitingBytes) : this.#maxWaitingBytes;
    if (!this.#waiting.hasRoomFor(line, limit)) {
      this.#untold += 1;
      this.#onDropped(1);
      return;
    }
    if (this.#untold > 0) this.#tellOfDropped();
    this.#add(line);
    this.#waiting.lines += 1;
    if (this.#writing === undefined) void this.#writeInTurn();
  }

  /** Resolves when every appended line is in the file or counted as dropped. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#untold > 0) this.#tellOfDropped();
    if (this.#waiting.length > 0) await this.#writeInTurn();
  }

  #tellOfDropped(): void {
    this.#add(`[${this.#untold} lines were dropped: the disk did not take them]`);
    this.#waiting.told += this.#untold;
    this.#untold = 0;
  }

  #add(line: string): void {
    const before = this.#waiting.length;
    this.#waiting.add(line);
    this.#budget.change(this.#waiting.length - before);
  }

  /** Numbers of the files that may exist. The newest one is being written. */
  get numbers(): { readonly oldest: number; readonly newest: number } {
    return { oldest: this.#newest - this.#keptFiles, newest: this.#newest };
  }

  /**
   * Undefined when no file has this number. An open file can be read to its end, even after it was renamed or deleted.
   */
  openNumber(number: number): Promise<FileHandle | undefined> {
    return this.#inTurn(() => {
      const age = this.#newest - number;
      return age < 0 || age > this.#keptFiles ? undefined : this.#openIfThere(this.#aged(age));
    });
  }

  /** Calls `listener` after each write. Returns a function that removes the listener. */
  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Position of the last line in the files, also when an earlier process wrote it. */
  async lastPosition(): Promise<LogPosition | undefined> {
    const ages = Array.from({ length: this.#keptFiles + 1 }, (_, age) => age);
    // Opens all files at once: a VM waits for this, and mostly none of them exists.
    const opened = await this.#inTurn(() => Promise.allSettled(ages.map((age) => this.#openIfThere(this.#aged(age)))));
    try {
      for (const each of opened) {
        if (each.status === 'rejected') throw each.reason;
        const position = each.value && (await lastPosition(each.value));
        if (position !== undefined) return position;
      }
      return undefined;
    } finally {
      for (const each of opened) if (each.status === 'fulfilled') await each.value?.close();
    }
  }

  #inTurn<T>(run: () => T | Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** One write at a time, whoever asks for it. Otherwise lines could change places. */
  #writeInTurn(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    // Collects all lines that are appended in the same turn of the event loop.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#writeWaiting();
  }

  async #writeWaiting(): Promise<void> {
    const written = this.#waiting;
    this.#waiting = this.#spare;
    this.#spare = written;
    const bytes = written.view();
    try {
      await this.#makeRoom(bytes.length);
      await this.#files.appendFile(this.#path, bytes);
      this.#size = (this.#size ?? 0) + bytes.length;
      this.#hasFailed = false;
      // These lines may have waited since before others were dropped.
      if (this.#untold > 0) this.#tellOfDropped();
    } catch (error) {
      this.#failed(written, error instanceof Error ? error : new Error(String(error)));
    }
    this.#budget.change(-written.length);
    written.clear();
    for (const listener of this.#listeners) listener();
  }

  #failed({ lines, told }: LineBatch, error: Error): void {
    this.#untold += lines + told;
    if (lines > 0) this.#onDropped(lines);
    this.#size = undefined;
    if (!this.#hasFailed) this.#onFailure(error);
    this.#hasFailed = true;
  }

  async #makeRoom(bytes: number): Promise<void> {
    this.#size ??= await this.#sizeOfWhole();
    if (this.#size === 0 || this.#size + bytes <= this.#maxBytes) return;
    await this.#inTurn(() => this.#rotate());
  }

  async #rotate(): Promise<void> {
    await this.#files.rm(this.#older(this.#keptFiles));
    for (let age = this.#keptFiles - 1; age >= 1; age -= 1) await this.#move(this.#older(age), this.#older(age + 1));
    if (this.#keptFiles > 0) await this.#move(this.#path, this.#older(1));
    else await this.#files.rm(this.#path);
    this.#newest += 1;
    this.#size = 0;
  }

  #aged(age: number): string {
    return age === 0 ? this.#path : this.#older(age);
  }

  #older(age: number): string {
    return `${this.#path}.${age}`;
  }

  /** Ends the incomplete line of an agent that died, so that the next line starts on its own. */
  async #sizeOfWhole(): Promise<number> {
    const handle = await this.#openIfThere(this.#path);
    if (handle === undefined) return 0;
    try {
      const { size } = await handle.stat();
      if (size === 0) return 0;
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
      if (buffer[0] === 0x0a) return size;
      await this.#files.appendFile(this.#path, '\n');
      return size + 1;
    } finally {
      await handle.close();
    }
  }

  async #openIfThere(path: string): Promise<FileHandle | undefined> {
    return await this.#files.open(path, 'r').catch(undefinedIfMissing);
  }

  async #move(from: string, to: string): Promise<void> {
    await this.#files.rename(from, to).catch(undefinedIfMissing);
  }
}
