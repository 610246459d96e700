// Text of the log stream that is no log record: a Go panic, an error of the relay, a broken line (hcs-runtime D.3).
// What belongs together is kept together, up to a limit.
import { ByteBuffer } from '../byte-buffer.ts';
import { decodeUtf8, openTail } from '../utf8.ts';

export class UndecodableText {
  readonly #limit: number;
  readonly #emit: (text: string) => void;
  /** What was not handed out, and before it the beginning of a character whose rest has not come yet. */
  readonly #held = new ByteBuffer();
  /** Bytes since the last hand-out. */
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

  /** Bytes that were not handed out yet. */
  get held(): number {
    return this.#held.length;
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
      this.#held.append(piece);
      this.#bytes += piece.length;
      rest = rest.subarray(piece.length);
      if (this.#bytes >= this.#limit) this.handOver();
    }
  }

  /** What there is of the text so far; the rest comes later. */
  handOver(): void {
    this.#hand(openTail(this.#held.view()));
  }

  flush(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#hand(0);
  }

  /** All but the last so many bytes. */
  #hand(kept: number): void {
    const bytes = this.#held.view();
    const length = bytes.length - kept;
    const text = trim(decodeUtf8(bytes, 0, length));
    this.#held.consume(length);
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
