// One connection in the pump: its read credit and the data to be written.
import { type FromPump, initialCredit } from './pump-messages.ts';
import { pollBits, type Socket, type Winsock } from './winsock.ts';

export class PumpConnection {
  readonly id: number;
  readonly socket: Socket;
  /** Bytes that the reader still has room for. */
  credit = initialCredit;
  restsUntil = 0;
  /** In order. The main thread sends at most `writeAhead` bytes. */
  readonly #unwritten: Uint8Array[] = [];
  #shutsDown = false;
  #hasEnded = false;

  constructor(id: number, socket: Socket) {
    this.id = id;
    this.socket = socket;
  }

  /** The events to poll for; 0 = none, so that a peer that hung up does not keep the pump awake. */
  get interest(): number {
    const reads = !this.#hasEnded && this.credit > 0;
    return (reads ? pollBits.readable : 0) | (this.#unwritten.length === 0 ? 0 : pollBits.writable);
  }

  /**
   * Writes at once if nothing waits: a poll costs more than a send that takes nothing. Like all these methods, throws a
   * `WinsockError`.
   */
  write(bytes: Uint8Array, winsock: Winsock, post: (message: FromPump) => void): void {
    this.#unwritten.push(bytes);
    if (this.#unwritten.length === 1) this.#writeSome(winsock, post);
  }

  /** Shuts down once everything is written. */
  shutdown(winsock: Winsock): void {
    this.#shutsDown = true;
    if (this.#unwritten.length === 0) winsock.shutdown(this.socket);
  }

  /** Moves data as far as possible now. False when nothing could be moved. */
  move(winsock: Winsock, buffer: Uint8Array, post: (message: FromPump) => void): boolean {
    const wrote = this.#writeSome(winsock, post);
    const read = this.#readSome(winsock, buffer, post);
    return wrote || read;
  }

  #writeSome(winsock: Winsock, post: (message: FromPump) => void): boolean {
    let wrote = 0;
    for (let next = this.#unwritten[0]; next !== undefined; next = this.#unwritten[0]) {
      const count = winsock.send(this.socket, next);
      if (count === undefined) break;
      wrote += count;
      if (count === next.byteLength) this.#unwritten.shift();
      else this.#unwritten[0] = next.subarray(count);
    }
    if (wrote === 0) return false;
    post({ type: 'written', connection: this.id, bytes: wrote });
    if (this.#shutsDown && this.#unwritten.length === 0) winsock.shutdown(this.socket);
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
