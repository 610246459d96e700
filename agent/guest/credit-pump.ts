// Sends what a process writes to whoever reads it over a connection that is shared with others: never more than the
// reader has granted. What is not granted stays in the guest's socket, and then whoever writes there waits.
import type { Readable } from 'node:stream';

export interface CreditPumpOptions {
  readonly source: Readable;
  readonly send: (bytes: Buffer) => void;
  /** After the last byte; an error is the text of what broke the stream. */
  readonly end: (error?: string) => void;
}

export class CreditPump {
  readonly #options: CreditPumpOptions;
  #credits = 0;
  #isEnded = false;

  constructor(options: CreditPumpOptions) {
    this.#options = options;
    const { source } = options;
    source.on('readable', () => this.#pump());
    source.once('end', () => this.#finish());
    source.once('error', (error) => this.#finish(error.message));
    source.once('close', () => this.#finish('the connection was closed'));
  }

  /** The reader can take so many more bytes. */
  grant(bytes: number): void {
    this.#credits += bytes;
    this.#pump();
  }

  /** Nobody reads any more. */
  abandon(): void {
    this.#isEnded = true;
    this.#options.source.destroy();
  }

  #pump(): void {
    const { send, source } = this.#options;
    // Also without credits: this is what makes the end of an empty stream known.
    if (this.#credits === 0 && source.readableLength === 0) source.read(0);
    while (this.#credits > 0 && !this.#isEnded) {
      const available = Math.min(this.#credits, source.readableLength);
      const chunk: unknown = available === 0 ? source.read() : source.read(available);
      if (!Buffer.isBuffer(chunk)) return;
      if (chunk.length > this.#credits) {
        source.unshift(chunk.subarray(this.#credits));
        this.#take(chunk.subarray(0, this.#credits), send);
      } else {
        this.#take(chunk, send);
      }
    }
  }

  #take(bytes: Buffer, send: (bytes: Buffer) => void): void {
    this.#credits -= bytes.length;
    send(bytes);
  }

  #finish(error?: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    // The guest of a container waits for this side to close too (E.6).
    this.#options.source.destroy();
    this.#options.end(error);
  }
}
