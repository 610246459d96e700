// The line format of a guest's log file: `<boot>.<sequence> <text>`. Other lines are notices about the file itself.
import { type LogPosition, streamLimits } from '../../protocol/streams/messages.ts';
import type { FileHandle } from '../node/file-system.ts';

const newline = 0x0a;
const dot = 0x2e;
const space = 0x20;
const zero = 0x30;
/** The longest position: two numbers below 2^53. */
const positionBytes = 34;
/** Exceeds any line: 8,192 characters of at most four bytes, and the position. */
const lineBytes = 64 * 1024;

/** Parses the bytes directly, because most lines are only passed on. */
export function positionAt(bytes: Buffer, start: number): LogPosition | undefined {
  const boot = numberAt(bytes, start, dot);
  if (boot === undefined) return undefined;
  const sequence = numberAt(bytes, boot.end + 1, space);
  return sequence && { boot: boot.value, sequence: sequence.value };
}

function numberAt(bytes: Buffer, start: number, end: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let index = start; index < start + positionBytes; index += 1) {
    const byte = bytes[index];
    if (byte === end) return index > start && Number.isSafeInteger(value) ? { value, end: index } : undefined;
    const digit = (byte ?? 0) - zero;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return undefined;
}

export interface Line {
  readonly start: number;
  /** Index after the line end. */
  readonly end: number;
  readonly position: LogPosition;
}

/** The lines of a block that ends with a line end, without notices. */
export function* linesOf(block: Buffer): Generator<Line> {
  for (let start = 0; start < block.length; ) {
    const found = block.indexOf(newline, start);
    const end = found < 0 ? block.length : found + 1;
    const position = positionAt(block, start);
    if (position !== undefined) yield { start, end, position };
    start = end;
  }
}

/** The last line of a block that ends with a line end; undefined when that line is a notice. */
export function lastLineOf(block: Buffer): LogPosition | undefined {
  return block.length === 0 ? undefined : positionAt(block, block.lastIndexOf(newline, block.length - 2) + 1);
}

export function isAfter(one: LogPosition, other: LogPosition): boolean {
  return one.boot > other.boot || (one.boot === other.boot && one.sequence > other.sequence);
}

/** The number of bytes that form whole lines. */
export function wholeLines(bytes: Buffer): number {
  return bytes.lastIndexOf(newline) + 1;
}

/** The first position near the start of the file; undefined when none of the first lines has one. */
export async function firstPosition(handle: FileHandle): Promise<LogPosition | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2 * lineBytes), 0, 2 * lineBytes, 0);
  const block = buffer.subarray(0, wholeLines(buffer.subarray(0, bytesRead)));
  for (const { position } of linesOf(block)) return position;
  return undefined;
}

export async function lastPosition(handle: FileHandle): Promise<LogPosition | undefined> {
  const { size } = await handle.stat();
  const start = Math.max(0, size - 2 * lineBytes);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2 * lineBytes), 0, 2 * lineBytes, start);
  const bytes = buffer.subarray(0, bytesRead);
  const from = start === 0 ? 0 : bytes.indexOf(newline) + 1;
  let last: LogPosition | undefined;
  for (const { position } of linesOf(bytes.subarray(from, wholeLines(bytes)))) last = position;
  return last;
}

/** The most that is read in one call. */
export const blockBytes = 4 * streamLimits.chunkBytes;
