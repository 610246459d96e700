// The two ends of one channel of a stream, as Node's own streams, so that what is piped through waits where it should:
// the writer until the reader has granted credit and it is its turn, the reader's grants until what it has was taken.
import { Readable, Writable } from 'node:stream';
import { Backlog } from './backlog.ts';
import { streamLimits } from './messages.ts';
import type { StreamProducer, StreamTurns } from './turns.ts';

export interface OutgoingPorts {
  readonly turns: StreamTurns;
  readonly send: (bytes: Buffer) => void;
  /** After the last byte. */
  readonly end: () => void;
}

/** Has no credit at first. */
export class OutgoingChannel extends Writable implements StreamProducer {
  readonly #ports: OutgoingPorts;
  #credit = 0;
  #carried = 0;
  #pending: Buffer | undefined;
  #done: (() => void) | undefined;

  constructor(ports: OutgoingPorts) {
    // The next block is fetched while one waits for its turn.
    super({ highWaterMark: 5 * streamLimits.chunkBytes, decodeStrings: true });
    this.#ports = ports;
    // Whoever pipes into it learns of its end by `close`.
    this.on('error', () => undefined);
  }

  /** Bytes that were sent. */
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
  /** What came while something else waited to be read. */
  readonly #backlog = new Backlog();

  /** @param window what the other side may send at first, in bytes @param grant tells it that it may send more */
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

  /** False when the other side sent more than it may. */
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

  /** No more comes. */
  ended(): void {
    if (this.destroyed || this.readableEnded) return;
    if (this.#backlog.length > 0) this.push(this.#backlog.take());
    this.push(null);
  }

  /** All that is taken is taken here, or while it is pushed. */
  override read(size?: number): ReturnType<Readable['read']> {
    const chunk = super.read(size);
    // Nothing: it wants more than there is.
    if (chunk === null || this.readableLength === 0) this.#flush();
    this.#grantAnew();
    return chunk;
  }

  override _read(): void {
    // What comes is pushed when it comes.
  }

  /** In large pieces: when less than half a window is granted or waits to be taken. */
  #grantAnew(): void {
    const bytes = this.#window - this.#granted - this.readableLength - this.#backlog.length;
    if (this.destroyed || bytes < this.#window / 2) return;
    this.#granted += bytes;
    this.#grant(bytes);
  }
}
