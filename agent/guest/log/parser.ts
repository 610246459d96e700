// Reads the guest's log stream (hcs-runtime D.2 to D.4): JSON values separated by white space, not lines, with raw text
// between them when something in the guest goes wrong. This follows both recommendations of D.4: values and texts are
// bounded, and after an undecodable value reading continues with the next line instead of stopping. The same bytes give
// the same records however they are split into chunks, and every byte is in a record, is white space, or is counted.
import { ByteBuffer } from '../byte-buffer.ts';
import { decodeUtf8 } from '../utf8.ts';
import { isWhiteSpace, JsonScanner, nestingLimit } from './json-scanner.ts';
import { type GuestLogRecord, type JsonValue, type LogValue, readFlatRecord, toLogRecord } from './record.ts';
import { UndecodableText } from './undecodable-text.ts';

/** How a stream ended: at its end, with the VM's sockets, or by a failed read. */
export type GuestLogEnd =
  | { readonly kind: 'eof' }
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'failed'; readonly message: string };

export interface GuestLogOptions {
  readonly vmId: string;
  /** Most bytes of one value. A longer value counts as undecodable text. */
  readonly maxValueBytes?: number;
  /** Most bytes of undecodable text in one record. */
  readonly maxTextBytes?: number;
}

export interface GuestLogCounts {
  readonly bytes: number;
  readonly records: number;
  /** Bytes that were not a log record. They are in the records named "gcs terminated" and "gcs log read". */
  readonly undecodableBytes: number;
}

const lineFeed = 0x0a;
const openBrace = 0x7b;
const behindStream = Buffer.from(' ');

/** Lines up to this length are tried whole first: they cannot nest deeper than the scanner allows. */
const wholeLineBytes = 2 * nestingLimit;
/** Longest record that is written in one piece. A longer one is read as text. */
export const defaultMaxValueBytes = 64 * 1024;

export class GuestLogParser {
  readonly #vmId: string;
  readonly #maxValueBytes: number;
  readonly #bytes = new ByteBuffer();
  readonly #text: UndecodableText;
  readonly #scanner = new JsonScanner();
  #records: GuestLogRecord[] = [];
  #isScanning = false;
  /** Bytes of the current value that the scanner has seen. */
  #scanned = 0;
  #skippingLine = false;
  #atLineStart = true;
  #isBehind = false;
  #receivedBytes = 0;
  #recordCount = 0;
  #refusedBytes = 0;

  constructor(options: GuestLogOptions) {
    this.#vmId = options.vmId;
    this.#maxValueBytes = options.maxValueBytes ?? defaultMaxValueBytes;
    this.#text = new UndecodableText(options.maxTextBytes ?? 64 * 1024, (text) => {
      this.#emitError('gcs terminated', { stderr: text });
    });
  }

  get counts(): GuestLogCounts {
    const undecodableBytes = this.#text.total + this.#refusedBytes;
    return { bytes: this.#receivedBytes, records: this.#recordCount, undecodableBytes };
  }

  /** The records that these bytes complete. Never throws. */
  push(chunk: Uint8Array): readonly GuestLogRecord[] {
    this.add(chunk);
    return this.next(Number.POSITIVE_INFINITY);
  }

  /** Adds bytes for `next`. */
  add(chunk: Uint8Array): void {
    this.#receivedBytes += chunk.length;
    this.#bytes.append(chunk);
    this.#isBehind = true;
  }

  /**
   * Reads on for about `steps` steps, each a record or a line of text, and returns the completed records. The bound
   * counts steps because a guest can make a step of every byte or two: the number of bytes does not tell how long
   * reading takes.
   */
  next(steps: number): readonly GuestLogRecord[] {
    let left = steps;
    while (this.#bytes.length > 0 && left > 0) {
      const before = this.#records.length;
      if (!this.#advance(left)) break;
      left -= 1 + this.#records.length - before;
    }
    this.#isBehind = left <= 0 && this.#bytes.length > 0;
    return this.#take();
  }

  /** True when `next` can return more without further bytes. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Bytes of an incomplete value or text. */
  get heldBytes(): number {
    return this.#bytes.length + this.#text.held;
  }

  /** Returns an incomplete value as text, because other guests need the memory. */
  giveUp(): readonly GuestLogRecord[] {
    const bytes = this.#bytes.view();
    if (bytes.length > 0) {
      this.#atLineStart = bytes.at(-1) === lineFeed;
      this.#skippingLine = !this.#atLineStart;
      this.#isScanning = false;
      this.#text.append(bytes);
      this.#bytes.consume(bytes.length);
    }
    this.#text.handOver();
    return this.#take();
  }

  /** The stream is over: returns the rest. */
  end(cause: GuestLogEnd): readonly GuestLogRecord[] {
    if (cause.kind === 'eof') this.#endScalar();
    const isCutOff = this.#isScanning;
    if (cause.kind === 'failed') this.#emitError('gcs log read', { error: cause.message });
    else if (isCutOff && cause.kind === 'eof') this.#emitError('gcs log read', { error: 'unexpected EOF' });
    this.#text.append(this.#bytes.view());
    this.#bytes.consume(this.#bytes.length);
    this.#isScanning = false;
    this.#isBehind = false;
    this.#text.flush();
    return this.#take();
  }

  #take(): readonly GuestLogRecord[] {
    const records = this.#records;
    this.#records = [];
    return records;
  }

  /** One step, of at most `records` records. False when it needs more bytes. */
  #advance(records: number): boolean {
    if (this.#skippingLine) return this.#skipLine();
    return this.#isScanning ? this.#scanValue() : this.#beginValue(records);
  }

  #skipLine(): boolean {
    const bytes = this.#bytes.view();
    const end = bytes.indexOf(lineFeed);
    const count = end < 0 ? bytes.length : end + 1;
    this.#text.append(bytes.subarray(0, count));
    this.#bytes.consume(count);
    this.#skippingLine = end < 0;
    this.#atLineStart = end >= 0;
    return end >= 0;
  }

  #beginValue(records: number): boolean {
    const bytes = this.#bytes.view();
    let start = 0;
    for (let byte = bytes[0]; byte !== undefined && isWhiteSpace(byte); byte = bytes[start]) {
      if (byte === lineFeed) this.#atLineStart = true;
      start += 1;
    }
    if (this.#text.isOpen) this.#text.append(bytes.subarray(0, start));
    this.#bytes.consume(start);
    if (start === bytes.length) return false;
    if (this.#atLineStart) {
      const taken = this.#takeWholeLines(bytes, start, records);
      this.#bytes.consume(taken);
      if (taken > 0) return true;
    }
    this.#atLineStart = false;
    this.#scanner.begin();
    this.#isScanning = true;
    this.#scanned = 0;
    return true;
  }

  /**
   * Nearly every line is one object. Reading it at once is several times faster than scanning for its end. Returns the
   * number of bytes in such lines.
   */
  #takeWholeLines(bytes: Buffer, start: number, records: number): number {
    const last = this.#records.length + records;
    let next = start;
    for (let end = bytes.indexOf(lineFeed, next); end >= 0; end = bytes.indexOf(lineFeed, next)) {
      const length = end - next;
      if (bytes[next] !== openBrace || length > wholeLineBytes || length > this.#maxValueBytes) break;
      if (!this.#takeLine(bytes, next, end)) break;
      next = end + 1;
      if (this.#records.length >= last) break;
    }
    return next - start;
  }

  /** False for a line that is not one object. */
  #takeLine(bytes: Buffer, start: number, end: number): boolean {
    const text = decodeUtf8(bytes, start, end);
    const value =
      readFlatRecord(text, this.#vmId) ??
      (this.#isObject(bytes, start, end) ? toLogRecord(text, this.#vmId) : undefined);
    if (value !== undefined) this.#emitValue(value, text, end - start);
    return value !== undefined;
  }

  #isObject(bytes: Buffer, start: number, end: number): boolean {
    this.#scanner.begin();
    if (this.#scanner.scan(bytes, start, end) !== 'endAfter') return false;
    for (let index = this.#scanner.index + 1; index < end; index += 1)
      if (!isWhiteSpace(bytes[index] ?? 0)) return false;
    return true;
  }

  #scanValue(): boolean {
    const bytes = this.#bytes.view();
    const limit = Math.min(bytes.length, this.#maxValueBytes);
    const step = this.#scanner.scan(bytes, this.#scanned, limit);
    const { index } = this.#scanner;
    this.#scanned = index;
    if (step === 'more' && limit < this.#maxValueBytes) return false;
    if (step === 'more' || step === 'error') this.#resynchronise(bytes, index);
    else this.#endValue(bytes, step === 'endAfter' ? index + 1 : index);
    return true;
  }

  #endValue(bytes: Buffer, length: number): void {
    this.#isScanning = false;
    const text = decodeUtf8(bytes, 0, length);
    this.#emitValue(toLogRecord(text, this.#vmId), text, length);
    this.#bytes.consume(length);
  }

  /**
   * The value at the start of the buffer is broken at `index`. If `index` is in a later line than the value's first,
   * that line is tried as a new value: the broken value may have been cut off before it. No line is tried twice.
   */
  #resynchronise(bytes: Buffer, index: number): void {
    const lineStart = bytes.subarray(0, index).lastIndexOf(lineFeed) + 1;
    const count = lineStart > 0 ? lineStart : index;
    this.#text.append(bytes.subarray(0, count));
    this.#bytes.consume(count);
    this.#isScanning = false;
    this.#skippingLine = lineStart === 0;
    this.#atLineStart = lineStart > 0;
  }

  /** The end of the stream also ends a scalar, like any byte that follows it. */
  #endScalar(): void {
    if (this.#isScanning && this.#scanner.scan(behindStream, 0, 1) === 'endBefore')
      this.#endValue(this.#bytes.view(), this.#bytes.length);
  }

  #emitValue(value: LogValue, text: string, length: number): void {
    this.#text.flush();
    if (value.ok) {
      this.#emit(value.record);
    } else {
      this.#refusedBytes += length;
      this.#emitError('gcs log read', { error: value.reason, stderr: text });
    }
  }

  #emitError(message: string, fields: Readonly<Record<string, JsonValue>>): void {
    this.#emit({ level: 'error', message, fields: { 'uvm-id': this.#vmId, ...fields } });
  }

  #emit(record: GuestLogRecord): void {
    this.#recordCount += 1;
    this.#records.push(record);
  }
}
