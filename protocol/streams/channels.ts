// The two ends of one channel of a stream, as Node streams, so that backpressure reaches both sides. A write completes
// once the reader has granted credit and the channel has had its turn. The reader grants more credit only after its
// data was consumed.
import { Readable, Writable } from 'node:stream';
import { Backlog } from './backlog.ts';
import { streamLimits } from './messages.ts';
import type { StreamProducer, StreamTurns } from './turns.ts';

export interface OutgoingPorts {
  readonly turns: StreamTurns;
  readonly send: (bytes: Buffer) => void;
  /** Called after the last byte. */
  readonly end: () => void;
  /** Bytes that may wait. Absent: room for the next block to be read while one waits for its turn. */
  readonly waitingBytes?: number | undefined;
}

/** Starts without credit. */
export class OutgoingChannel extends Writable implements StreamProducer {
  readonly #ports: OutgoingPorts;
  #credit = 0;
  #carried = 0;
  #pending: Buffer | undefined;
  #done: (() => void) | undefined;

  constructor(ports: OutgoingPorts) {
    super({ highWaterMark: ports.waitingBytes ?? 5 * streamLimits.chunkBytes, decodeStrings: true });
    this.#ports = ports;
    // A writer that pipes into this channel learns of its end from `close`.
    this.on('error', () => undefined);
  }

  /** Bytes sent so far. */
  get carried(): number {
    return this.#carried;
  }

  grant(bytes: number): void {
    this.#credit += bytes;
    if (this.#pending !== undefined) this.#ports.turns.want(this);
  }

  produce(room: number): number {
    const pending = this.#pending;
    const bytes = Math.min(room, this.#credit, pending?.length ?? 0);
    if (pending === undefined || bytes === 0 || this.destroyed) return 0;
    this.#credit -= bytes;
    this.#carried += bytes;
    this.#ports.send(pending.subarray(0, bytes));
    if (bytes < pending.length) {
      this.#pending = pending.subarray(bytes);
    } else {
      const done = this.#done;
      this.#pending = undefined;
      this.#done = undefined;
      done?.();
    }
    return bytes;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (chunk.length === 0) {
      done();
      return;
    }
    this.#pending = chunk;
    this.#done = done;
    this.#ports.turns.want(this);
  }

  override _final(done: () => void): void {
    this.#ports.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#ports.turns.leave(this);
    this.#pending = undefined;
    this.#done = undefined;
    done(error);
  }
}

export class IncomingChannel extends Readable {
  readonly #grant: (bytes: number) => void;
  readonly #window: number;
  /** Bytes that the other side may still send. */
  #granted: number;
  #carried = 0;
  /** Data that arrived while earlier data waits to be read. */
  readonly #backlog = new Backlog();

  /**
   * @param window bytes that the other side may send at first @param grant tells the other side that it may send more
   */
  constructor(window: number, grant: (bytes: number) => void) {
    super({ highWaterMark: Math.floor(window / 2) });
    this.#window = window;
    this.#granted = window;
    this.#grant = grant;
    this.on('error', () => undefined);
  }

  /** Bytes that have arrived. */
  get carried(): number {
    return this.#carried;
  }

  /** False when the other side sent more than it was granted. */
  arrived(bytes: Buffer): boolean {
    if (bytes.length > this.#granted) return false;
    this.#granted -= bytes.length;
    this.#carried += bytes.length;
    if (!this.destroyed && bytes.length > 0) this.#take(bytes);
    this.#grantAnew();
    return true;
  }

  #take(bytes: Buffer): void {
    if (this.readableLength === 0 && this.#backlog.length === 0) this.push(bytes);
    else for (const block of this.#backlog.add(bytes)) this.push(block);
    if (this.readableLength === 0) this.#flush();
  }

  #flush(): void {
    if (this.#backlog.length > 0 && !this.destroyed) this.push(this.#backlog.take());
  }

  /** The other side sends no more data. */
  ended(): void {
    if (this.destroyed || this.readableEnded) return;
    if (this.#backlog.length > 0) this.push(this.#backlog.take());
    this.push(null);
  }

  /** All consumption passes through here or through `push`. */
  override read(size?: number): ReturnType<Readable['read']> {
    const chunk = super.read(size);
    // The reader wants more than is buffered: the backlog follows.
    if (chunk === null || this.readableLength === 0) this.#flush();
    this.#grantAnew();
    return chunk;
  }

  override _read(): void {
    // Data is pushed when it arrives.
  }

  /** Grants credit in large steps: when half a window or more is neither granted nor waiting to be read. */
  #grantAnew(): void {
    const bytes = this.#window - this.#granted - this.readableLength - this.#backlog.length;
    if (this.destroyed || bytes < this.#window / 2) return;
    this.#granted += bytes;
    this.#grant(bytes);
  }
}
