// Reads the log of one VM's guest from its files, starting after any line, and continues with new lines. The files are
// the buffer: a slow or returning reader reads each remaining line once, and learns from the line numbers which lines
// are gone.
import type { LogPosition } from '../../protocol/streams/messages.ts';
import type { FileHandle } from '../node/file-system.ts';
import { blockBytes, firstPosition, isAfter, lastLineOf, linesOf, positionAt, wholeLines } from './file-lines.ts';

/** The part of `GuestLogFile` that a reader needs. */
export interface LogFiles {
  readonly numbers: { readonly oldest: number; readonly newest: number };
  openNumber(number: number): Promise<FileHandle | undefined>;
  onWritten(listener: () => void): () => void;
  flush(): Promise<void>;
}

export interface LogSection {
  /** Only lines after this one. Absent: from the oldest line on. */
  readonly after: LogPosition | undefined;
  /** The last boot to read. Absent: no end. */
  readonly lastBoot?: number;
  /** Waits for new lines. */
  readonly follow: boolean;
}

interface OpenFile {
  readonly number: number;
  readonly handle: FileHandle;
}

/** Yields blocks of whole lines. */
export async function* readLog(files: LogFiles, section: LogSection, signal: AbortSignal): AsyncGenerator<Buffer> {
  await files.flush();
  const reader = new LogReader(files, section);
  const news = new News(files, signal);
  try {
    while (!signal.aborted) {
      const block = await reader.next();
      if (block === 'end') return;
      if (block === 'nothingMore') await news.wait();
      else if (block.length > 0) yield block;
    }
  } finally {
    news.end();
    await reader.close();
  }
}

class LogReader {
  readonly #files: LogFiles;
  readonly #section: LogSection;
  #after: LogPosition | undefined;
  #file: OpenFile | undefined;
  #offset = 0;
  #isOver = false;
  /** A buffer for all reads: most blocks are smaller, and a new buffer for each would cost this much. */
  readonly #room = Buffer.allocUnsafeSlow(blockBytes);

  constructor(files: LogFiles, section: LogSection) {
    this.#files = files;
    this.#section = section;
    this.#after = section.after;
  }

  /** Returns lines, possibly none; `nothingMore` when there are none now; or `end`. */
  async next(): Promise<Buffer | 'nothingMore' | 'end'> {
    if (this.#isOver) return 'end';
    this.#file ??= await openFirst(this.#files, this.#after);
    // A file that was renamed before it was read to its end: nothing more is written to it.
    const isComplete = this.#file !== undefined && this.#file.number < this.#files.numbers.newest;
    const block = this.#file && (await readBlock(this.#file.handle, this.#offset, this.#room));
    if (block !== undefined) return this.#select(block);
    if (isComplete && (await this.#advance())) return Buffer.alloc(0);
    return this.#section.follow ? 'nothingMore' : 'end';
  }

  async close(): Promise<void> {
    await this.#file?.handle.close();
  }

  #select(block: Buffer): Buffer {
    this.#offset += block.length;
    const { after, bytes, isOver } = select(block, this.#after, this.#section.lastBoot);
    this.#after = after;
    this.#isOver = isOver;
    return bytes;
  }

  async #advance(): Promise<boolean> {
    const next = await openNext(this.#files, this.#file?.number);
    if (next === undefined) return false;
    await this.#file?.handle.close();
    this.#file = next;
    this.#offset = 0;
    return true;
  }
}

/** Reads whole lines from `offset`, as a copy that the caller owns. Undefined when there are none yet. */
async function readBlock(handle: FileHandle, offset: number, room: Buffer): Promise<Buffer | undefined> {
  const { bytesRead } = await handle.read(room, 0, blockBytes, offset);
  const bytes = room.subarray(0, bytesRead);
  // Our lines are shorter than a block. A longer one is skipped.
  const whole = wholeLines(bytes) || (bytesRead === blockBytes ? blockBytes : 0);
  return whole === 0 ? undefined : Buffer.from(bytes.subarray(0, whole));
}

interface Selection {
  readonly bytes: Buffer;
  readonly after: LogPosition | undefined;
  readonly isOver: boolean;
}

/** The requested part of a block. Lines are in order, except for remains of earlier files. */
function select(block: Buffer, after: LogPosition | undefined, lastBoot: number | undefined): Selection {
  return selectWhole(block, after, lastBoot) ?? selectLines(block, after, lastBoot);
}

/** In a log that is followed, nearly every block is wanted whole, so only its first and last line are examined. */
function selectWhole(
  block: Buffer,
  after: LogPosition | undefined,
  lastBoot: number | undefined,
): Selection | undefined {
  const first = positionAt(block, 0);
  const last = lastLineOf(block);
  if (first === undefined || last === undefined || (after !== undefined && !isAfter(first, after))) return undefined;
  if (isAfter(first, last) || (lastBoot !== undefined && last.boot > lastBoot)) return undefined;
  return { bytes: block, after: last, isOver: false };
}

function selectLines(block: Buffer, after: LogPosition | undefined, lastBoot: number | undefined): Selection {
  let last = after;
  let from: number | undefined;
  let to = 0;
  for (const { start, end, position } of linesOf(block)) {
    if (last !== undefined && !isAfter(position, last)) continue;
    if (lastBoot !== undefined && position.boot > lastBoot) {
      return { bytes: block.subarray(from ?? to, to), after: last, isOver: true };
    }
    from ??= start;
    to = end;
    last = position;
  }
  return { bytes: block.subarray(from ?? to, to), after: last, isOver: false };
}

/** Opens the youngest file that begins at or before the wanted line; else the oldest. */
async function openFirst(files: LogFiles, after: LogPosition | undefined): Promise<OpenFile | undefined> {
  const { newest, oldest } = files.numbers;
  let earliest: OpenFile | undefined;
  for (let number = newest; number >= oldest; number -= 1) {
    const handle = await files.openNumber(number);
    if (handle === undefined) continue;
    await earliest?.handle.close();
    earliest = { number, handle };
    const first = after === undefined ? undefined : await firstPosition(handle);
    if (first !== undefined && after !== undefined && !isAfter(first, after)) break;
  }
  return earliest;
}

/** Opens the next existing file: the ones in between may be deleted meanwhile. */
async function openNext(files: LogFiles, number: number | undefined): Promise<OpenFile | undefined> {
  const { oldest } = files.numbers;
  for (let next = Math.max(oldest, (number ?? oldest - 1) + 1); next <= files.numbers.newest; next += 1) {
    const handle = await files.openNumber(next);
    if (handle !== undefined) return { number: next, handle };
  }
  return undefined;
}

/** The latest boot before this one that has lines, and its last line. */
export async function endOfEarlierRun(
  files: LogFiles,
  boot: number,
  signal: AbortSignal,
): Promise<LogPosition | undefined> {
  let end: LogPosition | undefined;
  for await (const block of readLog(files, { after: undefined, lastBoot: boot - 1, follow: false }, signal)) {
    for (const { position } of linesOf(block)) end = position;
  }
  return end;
}

/** Wakes a reader when something was written since its last wait. */
class News {
  readonly #stop: () => void;
  readonly #signal: AbortSignal;
  #isNew = true;
  #wake: () => void = () => {};

  constructor(files: LogFiles, signal: AbortSignal) {
    const notify = () => {
      this.#isNew = true;
      this.#wake();
    };
    this.#signal = signal;
    const stopListening = files.onWritten(notify);
    signal.addEventListener('abort', notify);
    this.#stop = () => {
      stopListening();
      signal.removeEventListener('abort', notify);
    };
  }

  async wait(): Promise<void> {
    while (!this.#isNew && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#isNew = false;
  }

  end(): void {
    this.#stop();
  }
}
