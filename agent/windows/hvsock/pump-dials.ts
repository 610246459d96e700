// The connections to guests that are being made in the pump. WSAPoll of Windows before 10 2004 does not report that a
// connection failed, so each is asked for its error in every turn; meanwhile turns are short.
import type { FromPump, SocketFailure } from './pump-messages.ts';
import { type PollEntry, pollBits, type Socket, type Winsock, WinsockError } from './winsock.ts';

export interface PumpDialsPorts {
  readonly winsock: Winsock;
  readonly post: (message: FromPump) => void;
  /** Takes a connected socket, and returns the number of its connection. */
  readonly connected: (socket: Socket) => number;
}

export class PumpDials {
  readonly #ports: PumpDialsPorts;
  readonly #sockets = new Map<number, Socket>();

  constructor(ports: PumpDialsPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** In the order in which `look` expects what happened. */
  get entries(): readonly PollEntry[] {
    return [...this.#sockets.values()].map((socket) => ({ socket, interest: pollBits.writable }));
  }

  begin(dial: number, address: Uint8Array): void {
    try {
      this.#sockets.set(dial, this.#ports.winsock.dial(address));
    } catch (error) {
      this.#failed(dial, failureOf(error));
    }
  }

  cancel(dial: number): void {
    const socket = this.#sockets.get(dial);
    if (socket !== undefined) this.#ports.winsock.close(socket);
    this.#sockets.delete(dial);
  }

  /** @param happened the events of `entries` */
  look(happened: readonly number[]): void {
    for (const [index, [dial, socket]] of [...this.#sockets].entries()) {
      const failure = this.#failureOf(socket);
      if (failure !== undefined) {
        this.cancel(dial);
        this.#failed(dial, failure);
      } else if (((happened[index] ?? 0) & pollBits.writable) !== 0) {
        this.#sockets.delete(dial);
        this.#ports.post({ type: 'dialled', dial, connection: this.#ports.connected(socket) });
      }
    }
  }

  close(): void {
    for (const dial of [...this.#sockets.keys()]) this.cancel(dial);
  }

  #failureOf(socket: Socket): SocketFailure | undefined {
    try {
      const code = this.#ports.winsock.dialError(socket);
      return code === 0 ? undefined : { step: 'connect', code };
    } catch (error) {
      return failureOf(error);
    }
  }

  #failed(dial: number, failure: SocketFailure): void {
    this.#ports.post({ type: 'dialFailed', dial, failure });
  }
}

function failureOf(error: unknown): SocketFailure {
  if (!(error instanceof WinsockError)) throw error;
  return error.failure;
}
