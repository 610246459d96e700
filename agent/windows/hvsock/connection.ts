// A Hyper-V socket connection as a stream of the main thread.
import { Duplex } from 'node:stream';
import type { SocketFailure, ToPump } from './pump-messages.ts';
import { socketError } from './socket-error.ts';

export class HyperVConnection extends Duplex {
  readonly #id: number;
  readonly #send: (message: ToPump) => void;
  readonly #onClosed: () => void;
  /** Taken from the pump, but not yet by the reader. */
  #unread = 0;
  #written: ((error?: Error) => void) | undefined;
  #isBroken = false;

  constructor(id: number, send: (message: ToPump) => void, onClosed: () => void) {
    super({ allowHalfOpen: true });
    this.#id = id;
    this.#send = send;
    this.#onClosed = onClosed;
  }

  // --- what the pump says ---

  received(bytes: Uint8Array): void {
    this.#unread += bytes.byteLength;
    if (this.push(bytes)) this.#giveCredit();
  }

  ended(): void {
    this.push(null);
  }

  handedOver(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
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
    this.#written = written;
    this.#send({ type: 'write', connection: this.#id, bytes });
  }

  override _final(done: () => void): void {
    this.#send({ type: 'shutdown', connection: this.#id });
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const written = this.#written;
    this.#written = undefined;
    written?.(error ?? new Error('the connection was closed'));
    if (!this.#isBroken) this.#send({ type: 'close', connection: this.#id });
    this.#onClosed();
    done(error);
  }

  #giveCredit(): void {
    if (this.#unread === 0) return;
    this.#send({ type: 'credit', connection: this.#id, bytes: this.#unread });
    this.#unread = 0;
  }
}
