// A Hyper-V socket connection as a stream of the main thread. The pump (`pump.ts`) moves its bytes.
import { Duplex } from 'node:stream';
import { initialCredit, type SocketFailure, type ToPump, writeAhead } from './pump-messages.ts';
import { socketError } from './socket-error.ts';

export class HyperVConnection extends Duplex {
  readonly #id: number;
  readonly #send: (message: ToPump) => void;
  readonly #onClosed: () => void;
  /** How many bytes the pump may read ahead. */
  readonly #readAhead: () => number;
  /** Bytes that the pump may still deliver. */
  #credit = initialCredit;
  /** With more credit than this, the pump gets no further credit. */
  #enough = initialCredit / 2;
  #isTaken = false;
  /** Bytes that the pump has received but not yet written to the socket. */
  #unwritten = 0;
  /** A callback that waits until at most `atMost` bytes are unwritten. */
  #waiting: { readonly atMost: number; readonly done: (error?: Error) => void } | undefined;
  #isBroken = false;

  constructor(id: number, send: (message: ToPump) => void, onClosed: () => void, readAhead: () => number) {
    super({ allowHalfOpen: true, readableHighWaterMark: initialCredit });
    this.#id = id;
    this.#send = send;
    this.#onClosed = onClosed;
    this.#readAhead = readAhead;
  }

  /** A reader has taken the connection. */
  taken(): void {
    this.#isTaken = true;
    if (this.readableLength < this.readableHighWaterMark) this.#giveCredit();
  }

  // --- what the pump says ---

  received(bytes: Uint8Array): void {
    this.#credit -= bytes.byteLength;
    if (this.push(bytes)) this.#giveCredit();
  }

  ended(): void {
    this.push(null);
  }

  handedOver(bytes: number): void {
    this.#unwritten -= bytes;
    const waiting = this.#waiting;
    if (waiting === undefined || this.#unwritten > waiting.atMost) return;
    this.#waiting = undefined;
    waiting.done();
  }

  broke(failure: SocketFailure): void {
    this.#isBroken = true;
    this.destroy(socketError(failure));
  }

  died(cause: Error): void {
    this.#isBroken = true;
    this.destroy(cause);
  }

  // --- what the stream asks for ---

  override _read(): void {
    this.#giveCredit();
  }

  override _write(bytes: Uint8Array, _encoding: BufferEncoding, written: (error?: Error) => void): void {
    if (bytes.byteLength === 0) {
      written();
      return;
    }
    this.#unwritten += bytes.byteLength;
    this.#send({ type: 'write', connection: this.#id, bytes });
    this.#whenLeft(writeAhead, written);
  }

  /** The stream has finished when the pump has written everything. */
  override _final(done: (error?: Error) => void): void {
    this.#send({ type: 'shutdown', connection: this.#id });
    this.#whenLeft(0, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.done(error ?? new Error('the connection was closed'));
    if (!this.#isBroken) this.#send({ type: 'close', connection: this.#id });
    this.#onClosed();
    done(error);
  }

  #whenLeft(atMost: number, done: (error?: Error) => void): void {
    if (this.#unwritten <= atMost) done();
    else this.#waiting = { atMost, done };
  }

  /**
   * Grants credit in large steps, because each grant wakes the pump. Meanwhile the pump uses the rest of its credit.
   */
  #giveCredit(): void {
    if (!this.#isTaken || this.#credit > this.#enough) return;
    const readAhead = this.#readAhead();
    this.#enough = (readAhead * 3) / 4;
    if (this.#credit > this.#enough) return;
    this.#send({ type: 'credit', connection: this.#id, bytes: readAhead - this.#credit });
    this.#credit = readAhead;
  }
}
