// Counts the data of a followed log, and checks the positions of its lines. It reads the bytes without copying them,
// because a slow client would distort the measurement.
import { z } from 'zod';

const newline = 0x0a;
const dot = 0x2e;
const space = 0x20;
const zero = 0x30;

export const followed = z.object({ bytes: z.int(), lines: z.int(), missing: z.int(), doubled: z.int() });
export type Followed = z.infer<typeof followed>;

export class LogFollower {
  bytes = 0;
  lines = 0;
  missing = 0;
  doubled = 0;
  #last = -1;
  /** The beginning of an incomplete line. */
  #rest: Buffer = Buffer.alloc(0);

  counts(): Followed {
    const { bytes, doubled, lines, missing } = this;
    return { bytes, lines, missing, doubled };
  }

  /** Resets the counts. The next line must follow the last one. */
  reset(): void {
    this.bytes = 0;
    this.lines = 0;
    this.missing = 0;
    this.doubled = 0;
  }

  take(chunk: Buffer): void {
    this.bytes += chunk.length;
    let start = 0;
    let end = chunk.indexOf(newline);
    if (end >= 0 && this.#rest.length > 0) {
      this.#count(sequenceAt(Buffer.concat([this.#rest, chunk.subarray(0, end)]), 0));
      this.#rest = Buffer.alloc(0);
      start = end + 1;
      end = chunk.indexOf(newline, start);
    }
    for (; end >= 0; end = chunk.indexOf(newline, start)) {
      this.#count(sequenceAt(chunk, start));
      start = end + 1;
    }
    if (start < chunk.length) this.#rest = Buffer.concat([this.#rest, chunk.subarray(start)]);
  }

  /** Lines of the guest have positions; notices have none. */
  #count(sequence: number | undefined): void {
    if (sequence === undefined) return;
    this.lines += 1;
    if (sequence <= this.#last) this.doubled += 1;
    else if (this.#last >= 0) this.missing += sequence - this.#last - 1;
    this.#last = sequence;
  }
}

/** The sequence number of a line that begins with `<boot>.<sequence> `. */
function sequenceAt(bytes: Buffer, start: number): number | undefined {
  let sequence: number | undefined;
  for (let index = start; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    if (byte === space) return sequence;
    if (byte === dot) sequence = 0;
    else if (byte < zero || byte > zero + 9) return undefined;
    else if (sequence !== undefined) sequence = sequence * 10 + byte - zero;
  }
  return undefined;
}
