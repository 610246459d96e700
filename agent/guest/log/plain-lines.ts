// Splits bytes into lines of text. A line that is too long becomes several, so nothing is lost and little is held.
import { ByteBuffer } from '../byte-buffer.ts';
import { decodeUtf8, openTail } from '../utf8.ts';

/** Fits into one line of the log. */
const maxLineBytes = 4096;
const newline = 0x0a;
const carriageReturn = 0x0d;

export class PlainLines {
  readonly #rest = new ByteBuffer();

  /** The lines that these bytes end, without line ends. */
  add(bytes: Uint8Array): readonly string[] {
    this.#rest.append(bytes);
    const lines: string[] = [];
    for (let line = this.#next(); line !== undefined; line = this.#next()) lines.push(line);
    return lines;
  }

  /** The last line, when it has no line end. */
  end(): readonly string[] {
    const { length } = this.#rest;
    return length === 0 ? [] : [this.#take(length, length)];
  }

  #next(): string | undefined {
    const view = this.#rest.view();
    const end = view.subarray(0, maxLineBytes + 2).indexOf(newline);
    if (end >= 0) return this.#take(end > 0 && view[end - 1] === carriageReturn ? end - 1 : end, end + 1);
    if (view.length < maxLineBytes + 2) return undefined;
    const whole = maxLineBytes - openTail(view.subarray(0, maxLineBytes));
    return this.#take(whole, whole);
  }

  #take(textBytes: number, consumed: number): string {
    const text = decodeUtf8(this.#rest.view(), 0, textBytes);
    this.#rest.consume(consumed);
    return text;
  }
}
