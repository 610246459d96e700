// Bytes that arrived and are not consumed yet. Appending is cheap on average, however small the pieces are.

const keptCapacity = 64 * 1024;

export class ByteBuffer {
  #store: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  append(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#store.length) this.#makeRoom(bytes.length);
    this.#store.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The unconsumed bytes, without copying; valid until the next `append`. */
  view(): Buffer {
    return this.#store.subarray(this.#start, this.#end);
  }

  consume(count: number): void {
    this.#start += Math.min(count, this.length);
    if (this.#start < this.#end) return;
    this.#start = 0;
    this.#end = 0;
    if (this.#store.length > keptCapacity) this.#store = Buffer.alloc(0);
  }

  #makeRoom(added: number): void {
    const needed = this.length + added;
    const target = needed * 2 <= this.#store.length ? this.#store : Buffer.allocUnsafe(Math.max(1024, needed * 2));
    this.#store.copy(target, 0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    this.#store = target;
  }
}
