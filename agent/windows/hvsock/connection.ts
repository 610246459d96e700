// A Hyper-V socket connection as a stream of the main thread.
import { Duplex } from 'node:stream';
import { initialCredit, type SocketFailure, type ToPump, writeAhead } from './pump-messages.ts';
import { socketError } from './socket-error.ts';

export class HyperVConnection extends Duplex {
  readonly #id: number;
  readonly #send: (message: ToPump) => void;
  readonly #onClosed: () => void;
  /** How far the pump may run ahead of the reader. */
  readonly #readAhead: () => number;
  /** Bytes that the pump may still hand over. */
  #credit = initialCredit;
  /** Of the credit, what is enough so that no more need be given. */
  #enough = initialCredit / 2;
  #isTaken = false;
  /** Given to the pump, but not yet handed over by it. */
  #unwritten = 0;
  /** What waits for that, and how little of it must be left. */
  #waiting: { readonly atMost: number; readonly done: (error?: Error) => void } | undefined;
  #isBroken = false;

  constructor(id: number, send: (message: ToPump) => void, onClosed: () => void, readAhead: () => number) {
    super({ allowHalfOpen: true, readableHighWaterMark: initialCredit });
    this.#id = id;
    this.#send = send;
    this.#onClosed = onClosed;
    this.#readAhead = readAhead;
  }

  /** By somebody who reads it from now on. */
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

  /** The stream has finished when everything was handed over. */
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

  /** Not for every few bytes: each time wakes the pump, which has the rest of its credit meanwhile. */
  #giveCredit(): void {
    if (!this.#isTaken || this.#credit > this.#enough) return;
    const readAhead = this.#readAhead();
    this.#enough = (readAhead * 3) / 4;
    if (this.#credit > this.#enough) return;
    this.#send({ type: 'credit', connection: this.#id, bytes: readAhead - this.#credit });
    this.#credit = readAhead;
  }
}
