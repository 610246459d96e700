// Pieces of a stream that nobody has read yet, copied into blocks: a byte that arrives by itself costs an object of its own,
// and keeps all of what the network delivered along with it.

const blockBytes = 16 * 1024;

export class Backlog {
  #block: Buffer | undefined;
  #length = 0;

  /** Bytes that are in no block that was handed out. */
  get length(): number {
    return this.#length;
  }

  /** Blocks that are full now. */
  *add(bytes: Buffer): Iterable<Buffer> {
    for (let start = 0; start < bytes.length; ) {
      this.#block ??= Buffer.allocUnsafeSlow(blockBytes);
      const copied = bytes.copy(this.#block, this.#length, start);
      start += copied;
      this.#length += copied;
      if (this.#length === blockBytes) yield this.take();
    }
  }

  take(): Buffer {
    const taken = this.#block?.subarray(0, this.#length) ?? Buffer.alloc(0);
    this.#block = undefined;
    this.#length = 0;
    return taken;
  }
}
