// Text of the log stream that is no log record: a Go panic, an error of the relay, a broken line (hcs-runtime D.3).
// What belongs together is kept together, up to a limit.
import { decodeUtf8, openTail } from './utf8.ts';

export class UndecodableText {
  readonly #limit: number;
  readonly #emit: (text: string) => void;
  #text = '';
  /** The beginning of a character whose rest has not come yet. */
  #tail: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #total = 0;
  #isOpen = false;

  /** `emit` gets each text without white space around it, never blank; none comes from more than `limit` bytes. */
  constructor(limit: number, emit: (text: string) => void) {
    this.#limit = limit;
    this.#emit = emit;
  }

  /** All bytes that were ever appended. */
  get total(): number {
    return this.#total;
  }

  /** Between the first piece of a text and its `flush`: white space is part of the text then. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  append(bytes: Buffer): void {
    this.#isOpen ||= bytes.length > 0;
    this.#total += bytes.length;
    for (let rest = bytes; rest.length > 0; ) {
      const piece = rest.subarray(0, this.#limit - this.#bytes);
      this.#decode(piece);
      this.#bytes += piece.length;
      rest = rest.subarray(piece.length);
      if (this.#bytes >= this.#limit) this.#hand();
    }
  }

  flush(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#text += decodeUtf8(this.#tail);
    this.#tail = Buffer.alloc(0);
    this.#hand();
  }

  #decode(piece: Buffer): void {
    const bytes = this.#tail.length === 0 ? piece : Buffer.concat([this.#tail, piece]);
    const end = bytes.length - openTail(bytes);
    this.#text += decodeUtf8(bytes, 0, end);
    this.#tail = Buffer.from(bytes.subarray(end));
  }

  #hand(): void {
    const text = trim(this.#text);
    this.#text = '';
    this.#bytes = 0;
    if (text !== '') this.#emit(text);
  }
}

/** What the guest's library takes for white space: all of Unicode's, and no byte order mark. */
const whiteSpace = /\p{White_Space}/u;
/** What is no trace of a text either. */
const jsonWhiteSpace = /[\t\n\r ]/;

/** A text of nothing but odd white space is still one that could not be decoded. */
function trim(text: string): string {
  return trimOf(text, whiteSpace) || trimOf(text, jsonWhiteSpace);
}

function trimOf(text: string, space: RegExp): string {
  let start = 0;
  let end = text.length;
  while (start < end && space.test(text.charAt(start))) start += 1;
  while (end > start && space.test(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}
