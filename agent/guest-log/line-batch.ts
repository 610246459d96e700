// Lines that wait to be written to a file, encoded as the bytes of that file. Each line is encoded when it arrives:
// many short strings that live until the disk takes them would cost more, mostly in garbage collections.

const firstBytes = 4 * 1024;
/** A larger buffer is needed only during a flood and is released afterwards. */
const keptBytes = 128 * 1024;
/** The most that UTF-8 needs for one unit of a string. */
const bytesPerUnit = 3;

export class LineBatch {
  /** Number of guest lines in the batch. */
  lines = 0;
  /** Number of dropped lines that notices in the batch report. */
  told = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The encoded lines; valid until `clear`. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Whether the text and a line end fit without exceeding `limit` bytes. */
  hasRoomFor(text: string, limit: number): boolean {
    const room = limit - this.#length - 1;
    return text.length * bytesPerUnit <= room || Buffer.byteLength(text) <= room;
  }

  add(text: string): void {
    const line = `${text}\n`;
    this.#reserve(line.length * bytesPerUnit);
    this.#length += this.#bytes.write(line, this.#length);
  }

  clear(): void {
    this.lines = 0;
    this.told = 0;
    this.#length = 0;
    if (this.#bytes.length > keptBytes) this.#bytes = Buffer.alloc(0);
  }

  #reserve(added: number): void {
    const needed = this.#length + added;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(firstBytes, needed, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
