// Text of the log stream that is no log record: a Go panic, an error of the relay, a broken line (hcs-runtime D.3).
// What belongs together is kept together, up to a limit.
import { StringDecoder } from 'node:string_decoder';
import { isWhiteSpace } from './json-scanner.ts';

export class UndecodableText {
  readonly #limit: number;
  readonly #emit: (text: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #text = '';
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
      this.#text += this.#decoder.write(piece);
      this.#bytes += piece.length;
      rest = rest.subarray(piece.length);
      if (this.#bytes >= this.#limit) this.#hand();
    }
  }

  flush(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#text += this.#decoder.end();
    this.#hand();
  }

  #hand(): void {
    const text = trim(this.#text);
    this.#text = '';
    this.#bytes = 0;
    if (text !== '') this.#emit(text);
  }
}

/** Without white space in the sense of JSON around it; other characters that leave no trace are still characters. */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhiteSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isWhiteSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}
