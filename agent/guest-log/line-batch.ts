// Lines that wait to be written to a file, as the bytes that they will be there. Each is encoded when it comes: many short
// texts that live until the disk has taken them cost more, most of it in collections of the heap.

const firstBytes = 4 * 1024;
/** A buffer of more is for a flood, and goes with it. */
const keptBytes = 128 * 1024;
/** UTF-8 takes no more for a unit of a string. */
const bytesPerUnit = 3;

export class LineBatch {
  /** Lines of the guest in it. */
  lines = 0;
  /** Lines that notices in it tell of. */
  told = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What is in it; valid until it is cleared. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Whether the text and a line end still fit, so that no more than so many bytes are in it. */
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
