// The bytes of one log connection, read in slices. Unread bytes stay in the socket's buffer, and when that is full the
// guest waits.
import { finished, type Readable } from 'node:stream';
import type { GuestLogEnd } from './parser.ts';

/** Errors that mean that the VM's end of the socket is gone. Most streams end this way (hcs-runtime D.4). */
const disconnectCodes: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

export class LogSource {
  readonly #stream: Readable;
  #end: GuestLogEnd | undefined;
  #wake: () => void = () => undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('readable', () => this.#wake());
    finished(stream, { writable: false }, (error) => {
      this.#end = error === undefined || error === null ? { kind: 'eof' } : endOf(error);
      this.#wake();
    });
  }

  /** Returns at most `most` bytes, as soon as there are any, or how the stream ended. */
  async next(most: number): Promise<Uint8Array | GuestLogEnd> {
    for (;;) {
      const bytes = this.#take(most);
      if (bytes !== undefined) return bytes;
      if (this.#end !== undefined) return this.#end;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #take(most: number): Uint8Array | undefined {
    const stream = this.#stream;
    if (stream.destroyed) return undefined;
    // Makes the stream fetch more, or report its end.
    if (stream.readableLength === 0) stream.read(0);
    const count = Math.min(stream.readableLength, most);
    const bytes: unknown = count === 0 ? undefined : stream.read(count);
    return bytes instanceof Uint8Array ? bytes : undefined;
  }
}

function endOf(error: NodeJS.ErrnoException): GuestLogEnd {
  return disconnectCodes.has(error.code ?? '') ? { kind: 'disconnected' } : { kind: 'failed', message: error.message };
}
