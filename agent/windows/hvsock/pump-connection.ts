// One accepted connection in the pump: how much may be read, and what is still to be written.
import { type FromPump, initialCredit } from './pump-messages.ts';
import { pollBits, type Socket, type Winsock } from './winsock.ts';

export class PumpConnection {
  readonly id: number;
  readonly socket: Socket;
  /** Bytes that the reader still has room for. */
  credit = initialCredit;
  restsUntil = 0;
  #unwritten: Uint8Array | undefined;
  #hasEnded = false;

  constructor(id: number, socket: Socket) {
    this.id = id;
    this.socket = socket;
  }

  /** What to poll for; 0 = nothing, so that a peer that hung up does not keep the pump awake. */
  get interest(): number {
    const reads = !this.#hasEnded && this.credit > 0;
    return (reads ? pollBits.readable : 0) | (this.#unwritten === undefined ? 0 : pollBits.writable);
  }

  /** The one before was written: the stream waits for that. */
  write(bytes: Uint8Array): void {
    this.#unwritten = bytes;
  }

  /** Moves what can be moved now; false when nothing could. Throws a `WinsockError` when the connection is broken. */
  move(winsock: Winsock, buffer: Uint8Array, post: (message: FromPump) => void): boolean {
    const wrote = this.#writeSome(winsock, post);
    const read = this.#readSome(winsock, buffer, post);
    return wrote || read;
  }

  #writeSome(winsock: Winsock, post: (message: FromPump) => void): boolean {
    if (this.#unwritten === undefined) return false;
    const count = winsock.send(this.socket, this.#unwritten);
    if (count === undefined) return false;
    const rest = this.#unwritten.subarray(count);
    this.#unwritten = rest.byteLength > 0 ? rest : undefined;
    if (this.#unwritten === undefined) post({ type: 'written', connection: this.id });
    return true;
  }

  #readSome(winsock: Winsock, buffer: Uint8Array, post: (message: FromPump) => void): boolean {
    if (this.#hasEnded || this.credit <= 0) return false;
    const count = winsock.receive(this.socket, buffer.subarray(0, this.credit));
    if (count === undefined) return false;
    if (count === 0) {
      this.#hasEnded = true;
      post({ type: 'end', connection: this.id });
    } else {
      this.credit -= count;
      post({ type: 'data', connection: this.id, bytes: buffer.slice(0, count) });
    }
    return true;
  }
}
