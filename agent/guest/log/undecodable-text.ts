// Text in the log stream that is not a log record: a Go panic, an error of the relay, a broken line (hcs-runtime D.3).
// Consecutive text is kept together, up to a limit.
import { ByteBuffer } from '../byte-buffer.ts';
import { decodeUtf8, openTail } from '../utf8.ts';

export class UndecodableText {
  readonly #limit: number;
  readonly #emit: (text: string) => void;
  /** Text that was not emitted yet, after the beginning of a character whose rest has not arrived. */
  readonly #held = new ByteBuffer();
  /** Bytes since text was emitted last. */
  #bytes = 0;
  #total = 0;
  #isOpen = false;

  /** `emit` gets each text without surrounding white space, never blank, and never from more than `limit` bytes. */
  constructor(limit: number, emit: (text: string) => void) {
    this.#limit = limit;
    this.#emit = emit;
  }

  /** The number of all bytes appended. */
  get total(): number {
    return this.#total;
  }

  /** The number of bytes that were not emitted yet. */
  get held(): number {
    return this.#held.length;
  }

  /** True between the first piece of a text and its `flush`: white space then belongs to the text. */
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

  /** Emits the text so far; the rest follows later. */
  handOver(): void {
    this.#hand(openTail(this.#held.view()));
  }

  flush(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#hand(0);
  }

  /** Emits all but the last `kept` bytes. */
  #hand(kept: number): void {
    const bytes = this.#held.view();
    const length = bytes.length - kept;
    const text = trim(decodeUtf8(bytes, 0, length));
    this.#held.consume(length);
    this.#bytes = 0;
    if (text !== '') this.#emit(text);
  }
}

/** White space according to the guest's library: all of Unicode's, and no byte order mark. */
const whiteSpace = /\p{White_Space}/u;
/** White space that JSON allows does not even count as text. */
const jsonWhiteSpace = /[\t\n\r ]/;

/** A text of nothing but unusual white space still counts as undecodable. */
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
