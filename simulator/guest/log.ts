// The guest's end of the log connection (hcs-runtime D.2, F.3). Without the relay there is one connection, and losing
// it ends the guest's service. With the relay the guest reconnects indefinitely and continues with the first unsent
// piece. Unsent text waits in a pipe of 64 KiB; when the pipe is full, the writer waits.
import type { Duplex } from 'node:stream';
import { type Clock, delay } from '../../runtime/clock.ts';

const pipeBytes = 64 * 1024;

export interface GuestLogOptions {
  readonly dial: () => Promise<Duplex | 'refused'>;
  readonly relays: boolean;
  readonly redialMilliseconds: number;
  readonly clock: Clock;
  /** Aborted when the guest ends. */
  readonly signal: AbortSignal;
  /** The connection is lost, and no relay reconnects. */
  readonly onLost: () => void;
}

export class GuestLog {
  readonly #options: GuestLogOptions;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #socket: Duplex | undefined;
  #isPumping = false;
  /** Resolves for all writers that wait for room in the pipe. */
  #room: PromiseWithResolvers<void> | undefined;

  constructor(options: GuestLogOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#makeRoom(), { once: true });
  }

  /** False when the host refused and no relay keeps trying. */
  async connect(): Promise<boolean> {
    if (this.#options.relays) {
      void this.#reconnect();
      return true;
    }
    const socket = await this.#options.dial();
    if (socket === 'refused') return false;
    this.#use(socket);
    return true;
  }

  /** Resolves when the text was sent or is in the pipe. */
  async write(text: string | Buffer): Promise<void> {
    while (this.#waitingBytes >= pipeBytes && !this.#options.signal.aborted) {
      this.#room ??= Promise.withResolvers<void>();
      await this.#room.promise;
    }
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    void this.#pump();
  }

  /** Resolves when the host has taken all text so far, or the guest has ended. */
  async taken(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#options.signal.aborted) {
      this.#room ??= Promise.withResolvers<void>();
      await this.#room.promise;
    }
  }

  /** The guest has ended. Text written before still arrives. */
  end(): void {
    const inFlight = this.#isPumping ? 1 : 0;
    const rest = Buffer.concat(this.#waiting.slice(inFlight));
    this.#waiting.length = 0;
    this.#socket?.end(rest);
    this.#socket = undefined;
  }

  #use(socket: Duplex): void {
    this.#socket = socket;
    socket.resume();
    socket.once('end', () => socket.destroy());
    socket.once('close', () => this.#lose(socket));
    void this.#pump();
  }

  #lose(socket: Duplex): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    if (this.#options.signal.aborted) return;
    if (this.#options.relays) void this.#reconnect();
    else this.#options.onLost();
  }

  async #reconnect(): Promise<void> {
    const { clock, dial, redialMilliseconds, signal } = this.#options;
    while (!signal.aborted) {
      const socket = await dial();
      if (signal.aborted) {
        if (socket !== 'refused') socket.destroy();
        return;
      }
      if (socket !== 'refused') {
        this.#use(socket);
        return;
      }
      await delay(clock, redialMilliseconds, signal).catch(() => {});
    }
  }

  /** Sends piece by piece. A piece stays in the pipe until the socket has taken it. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#socket !== undefined && this.#waiting.length > 0) {
      const piece = this.#waiting[0];
      if (piece === undefined || !(await send(this.#socket, piece))) break;
      this.#waiting.shift();
      this.#waitingBytes -= piece.length;
      this.#makeRoom();
    }
    this.#isPumping = false;
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/** False when the connection broke first. */
async function send(socket: Duplex, bytes: Buffer): Promise<boolean> {
  if (socket.destroyed) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onClose = () => resolve(false);
  socket.once('close', onClose);
  socket.write(bytes, (error) => resolve(error === null || error === undefined));
  const isSent = await promise;
  socket.off('close', onClose);
  return isSent;
}
