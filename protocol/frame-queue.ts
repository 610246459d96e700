// Frames that wait for their turn on a channel: first in, first out, with the total size known.

export interface Frame {
  readonly data: string | Buffer;
  /** A text counts as its UTF-8 bytes. */
  readonly bytes: number;
}

export function frameOf(message: object): Frame {
  const text = JSON.stringify(message);
  return { data: text, bytes: Buffer.byteLength(text) };
}

export class FrameQueue {
  /** `Array.shift` moves the whole of a long array each time, so the consumed part is cut off now and then. */
  #frames: Frame[] = [];
  #head = 0;
  #bytes = 0;

  get length(): number {
    return this.#frames.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Frame): void {
    this.#frames.push(frame);
    this.#bytes += frame.bytes;
  }

  shift(): Frame | undefined {
    const frame = this.#frames[this.#head];
    if (frame === undefined) return undefined;
    this.#head += 1;
    this.#bytes -= frame.bytes;
    if (this.#head > 64 && this.#head * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    }
    return frame;
  }

  clear(): void {
    this.#frames = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
