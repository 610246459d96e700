// Stream data that nobody has read yet, copied into blocks. Without the copy each small piece would cost an object and
// would keep alive the whole network buffer that it arrived in.

const blockBytes = 16 * 1024;

export class Backlog {
  #block: Buffer | undefined;
  #length = 0;

  /** Bytes that no block returned so far contains. */
  get length(): number {
    return this.#length;
  }

  /** Returns the blocks that became full. */
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
