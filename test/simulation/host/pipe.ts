// A connection in the simulated world: two streams, where each reads what the other has written. Bytes and ends arrive
// in order, after a random time; bytes that are written while others are in flight travel with them. As with a socket,
// each direction can be ended separately, and a writer waits while the reader does not read.
import { Duplex } from 'node:stream';
import type { World } from '../world.ts';

export interface PipeOptions {
  readonly world: World;
  readonly source: string;
  /** Draws the time to the other end, in milliseconds. */
  readonly latency: () => number;
  /**
   * Draws how an end that is destroyed shows at the other end: true = as an error (ECONNRESET), false = as an end.
   * Sockets do both.
   */
  readonly resets: () => boolean;
}

/**
 * The bytes that are in flight or have arrived before the writer has to wait, in addition to the reader's own buffer.
 */
const windowBytes = 64 * 1024;

/** `gone`: the other end accepts no more bytes. `reset`: it is gone, and the bytes in flight are lost. */
type Item = Buffer | 'end' | 'gone' | 'reset';

export function connectedPair(options: PipeOptions): readonly [PipeEnd, PipeEnd] {
  const pair = [new PipeEnd(options), new PipeEnd(options)] as const;
  const [one, other] = pair;
  one.connect(other);
  other.connect(one);
  return pair;
}

export class PipeEnd extends Duplex {
  readonly #options: PipeOptions;
  #other: PipeEnd | undefined;
  /** The items in flight to this end, in order. */
  #coming: Item[] = [];
  /** The items that have arrived and that the reader has not requested yet. */
  readonly #arrived: (Buffer | 'end')[] = [];
  #isAsked = false;
  /** The number of bytes that the other end wrote and this end's reader has not read. */
  #untaken = 0;
  /** The pending write of this end, which waits for the other reader. */
  #waiting: ((error?: Error) => void) | undefined;
  #hasEnded = false;
  #isOtherGone = false;
  #isSevered = false;

  constructor(options: PipeOptions) {
    super({ allowHalfOpen: true });
    this.#options = options;
  }

  /** @internal */
  connect(other: PipeEnd): void {
    this.#other = other;
  }

  /** The owner of this end died: this end does nothing more, and the other end sees the connection end. */
  sever(): void {
    if (this.#isSevered || this.destroyed) return;
    this.#leave(false);
    this.#isSevered = true;
    this.#drop();
  }

  override _read(): void {
    this.#isAsked = true;
    this.#pass();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    if (this.#isSevered) return;
    if (this.#isOtherGone) {
      done(brokenPipe());
      return;
    }
    const other = this.#other;
    if (other === undefined || other.#take(bytes)) done();
    else this.#waiting = done;
  }

  override _final(done: (error?: Error) => void): void {
    if (this.#isSevered) return;
    this.#hasEnded = true;
    this.#send('end');
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#isSevered) return;
    this.#leave(error !== null);
    const waiting = this.#waiting;
    this.#drop();
    done(error);
    waiting?.(brokenPipe());
  }

  /** Tells the other end that this end accepts nothing more. */
  #leave(isBroken: boolean): void {
    const { resets } = this.#options;
    const hasEnded = this.#hasEnded;
    this.#hasEnded = true;
    if (this.#isOtherGone) return;
    const isDone = hasEnded && this.readableEnded;
    if (!isDone && (isBroken || resets())) this.#send('reset');
    else if (hasEnded) this.#send('gone');
    else this.#send('end', 'gone');
  }

  #send(...items: readonly Item[]): void {
    const other = this.#other;
    if (other !== undefined) other.#come(items);
  }

  #drop(): void {
    this.#coming.length = 0;
    this.#arrived.length = 0;
    this.#other = undefined;
    this.#waiting = undefined;
  }

  /** False when the writer must wait until the reader has read some bytes. */
  #take(bytes: Buffer): boolean {
    this.#come([bytes]);
    this.#untaken += bytes.length;
    return this.#untaken <= windowBytes;
  }

  #come(items: readonly Item[]): void {
    if (this.#isSevered || this.destroyed) return;
    const isAlone = this.#coming.length === 0;
    this.#coming.push(...items);
    const { latency, source, world } = this.#options;
    if (isAlone) world.after(latency(), source, () => this.#arrive());
  }

  #arrive(): void {
    const items = this.#coming;
    this.#coming = [];
    for (const item of items) {
      if (this.#isSevered || this.destroyed) return;
      if (item === 'reset') this.#break();
      else if (item === 'gone') this.#loseOther();
      else this.#arrived.push(item);
    }
    this.#pass();
  }

  #break(): void {
    this.#isOtherGone = true;
    this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  #loseOther(): void {
    this.#isOtherGone = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(brokenPipe());
  }

  /** Gives the reader the requested items. */
  #pass(): void {
    while (this.#isAsked && !this.#isSevered && !this.destroyed) {
      const item = this.#arrived.shift();
      if (item === undefined) return;
      // Reading may ask again before `push` returns.
      this.#isAsked = false;
      if (item === 'end') this.push(null);
      else this.#passBytes(item);
    }
  }

  #passBytes(bytes: Buffer): void {
    this.#untaken -= bytes.length;
    if (this.push(bytes)) this.#isAsked = true;
    const other = this.#other;
    if (other !== undefined && this.#untaken <= windowBytes) other.#goOn();
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
}
