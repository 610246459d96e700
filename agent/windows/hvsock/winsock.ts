// The functions of ws2_32.dll that the pump calls (hcs-runtime C.3), directly on its own thread. Only `poll` waits: the
// pump sleeps there.
import koffi, { type LibraryHandle } from 'koffi';
import type { SocketFailure } from './pump-messages.ts';

/** A SOCKET. */
export type Socket = number;

/** WSAPOLLFD bits. */
export const pollBits = { readable: 0x0100, writable: 0x0010, error: 0x0001, hangUp: 0x0002, invalid: 0x0004 } as const;

export interface PollEntry {
  readonly socket: Socket;
  readonly interest: number;
}

export class WinsockError extends Error {
  override readonly name = 'WinsockError';
  readonly failure: SocketFailure;

  constructor(failure: SocketFailure) {
    super(`${failure.step}: Winsock error ${failure.code}`);
    this.failure = failure;
  }
}

const hyperV = { family: 34, protocolRaw: 1 } as const;
const streamSocket = 1;
const internet = { family: 2, datagramSocket: 2 } as const;
const invalidSocket = -1;
const socketLevel = { level: 0xffff, error: 0x1007 } as const;
const setNonBlocking = 0x8004_667e | 0;
const shutdownSend = 1;
const wouldBlock = 10035;
/** WSAENOTCONN, WSAESHUTDOWN. */
const closedAlready = new Set([10057, 10058]);
const version22 = 0x0202;
const pollEntryBytes = 16;

/** The functions of ws2_32.dll with their native parameters. */
export interface WinsockFunctions {
  startup(version: number, data: Uint8Array): number;
  lastError(): number;
  socket(family: number, type: number, protocol: number): number | bigint;
  bind(socket: Socket, address: Uint8Array, bytes: number): number;
  getsockname(socket: Socket, address: Uint8Array, bytes: [number]): number;
  listen(socket: Socket, backlog: number): number;
  accept(socket: Socket, address: null, bytes: null): number | bigint;
  connect(socket: Socket, address: Uint8Array, bytes: number): number;
  getsockopt(socket: Socket, level: number, option: number, value: [number], bytes: [number]): number;
  ioctlsocket(socket: Socket, command: number, value: [number]): number;
  recv(socket: Socket, into: Uint8Array, bytes: number, flags: number): number;
  send(socket: Socket, from: Uint8Array, bytes: number, flags: number): number;
  shutdown(socket: Socket, how: number): number;
  closesocket(socket: Socket): number;
  /** WSAPoll: an array of WSAPOLLFD. */
  poll(entries: Uint8Array, count: number, milliseconds: number): number;
}

export class Winsock {
  readonly #functions: WinsockFunctions;

  /** @param path of ws2_32.dll */
  static load(path: string): Winsock {
    return new Winsock(bind(koffi.load(path)));
  }

  constructor(functions: WinsockFunctions) {
    this.#functions = functions;
    const code = this.#functions.startup(version22, new Uint8Array(512));
    if (code !== 0) throw new Error(`WSAStartup failed with ${code}`);
  }

  /** Creates a non-blocking listening socket. */
  listen(address: Uint8Array, backlog: number): Socket {
    const socket = this.#open('socket', hyperV.family, streamSocket, hyperV.protocolRaw);
    try {
      this.#check('bind', this.#functions.bind(socket, address, address.byteLength));
      this.#check('listen', this.#functions.listen(socket, backlog));
      return socket;
    } catch (error) {
      this.close(socket);
      throw error;
    }
  }

  /** A datagram socket on a free port of the loopback address. A datagram ends a `poll`. */
  openWakeSocket(): { readonly socket: Socket; readonly port: number } {
    const socket = this.#open('socket', internet.family, internet.datagramSocket, 0);
    const address = Buffer.alloc(16);
    address.writeUInt16LE(internet.family, 0);
    address.set([127, 0, 0, 1], 4);
    this.#check('bind', this.#functions.bind(socket, address, address.byteLength));
    this.#check('bind', this.#functions.getsockname(socket, address, [address.byteLength]));
    return { socket, port: address.readUInt16BE(2) };
  }

  /** Undefined when no connection is waiting. */
  accept(listener: Socket): Socket | undefined {
    const socket = Number(this.#functions.accept(listener, null, null));
    if (socket === invalidSocket) return this.#nothingYet('accept');
    this.#neverBlock(socket);
    return socket;
  }

  /** A socket that connects. `dialError` and a poll tell how that goes. */
  dial(address: Uint8Array): Socket {
    const socket = this.#open('socket', hyperV.family, streamSocket, hyperV.protocolRaw);
    try {
      if (this.#functions.connect(socket, address, address.byteLength) !== 0) this.#nothingYet('connect');
      return socket;
    } catch (error) {
      this.close(socket);
      throw error;
    }
  }

  /** The error with which connecting failed; 0 while there is none. */
  dialError(socket: Socket): number {
    const code: [number] = [0];
    this.#check('connect', this.#functions.getsockopt(socket, socketLevel.level, socketLevel.error, code, [4]));
    return code[0];
  }

  /** The number of bytes received, 0 at the end of the stream; undefined when none are available yet. */
  receive(socket: Socket, into: Uint8Array): number | undefined {
    const count = this.#functions.recv(socket, into, into.byteLength, 0);
    return count < 0 ? this.#nothingYet('recv') : count;
  }

  /** The number of bytes taken; undefined when none can be taken now. */
  send(socket: Socket, bytes: Uint8Array): number | undefined {
    const count = this.#functions.send(socket, bytes, bytes.byteLength, 0);
    return count < 0 ? this.#nothingYet('send') : count;
  }

  /** Ignores a connection that is already closed (hcs-runtime C.3). */
  shutdown(socket: Socket): void {
    if (this.#functions.shutdown(socket, shutdownSend) === 0) return;
    const code = this.#functions.lastError();
    if (!closedAlready.has(code)) throw new WinsockError({ step: 'shutdown', code });
  }

  close(socket: Socket): void {
    this.#functions.closesocket(socket);
  }

  /** Sleeps until an event or the end of the time. Returns the events of each entry, in order. */
  poll(entries: readonly PollEntry[], milliseconds: number): readonly number[] {
    const bytes = Buffer.alloc(entries.length * pollEntryBytes);
    for (const [index, { socket, interest }] of entries.entries()) {
      bytes.writeBigInt64LE(BigInt(socket), index * pollEntryBytes);
      bytes.writeInt16LE(interest, index * pollEntryBytes + 8);
    }
    const count = this.#functions.poll(bytes, entries.length, milliseconds);
    if (count < 0) throw new Error(`WSAPoll failed with ${this.#functions.lastError()}`);
    return entries.map((_, index) => bytes.readInt16LE(index * pollEntryBytes + 10));
  }

  #open(step: 'socket', family: number, type: number, protocol: number): Socket {
    const socket = Number(this.#functions.socket(family, type, protocol));
    if (socket === invalidSocket) throw new WinsockError({ step, code: this.#functions.lastError() });
    this.#neverBlock(socket);
    return socket;
  }

  #neverBlock(socket: Socket): void {
    this.#functions.ioctlsocket(socket, setNonBlocking, [1]);
  }

  #nothingYet(step: SocketFailure['step']): undefined {
    const code = this.#functions.lastError();
    if (code !== wouldBlock) throw new WinsockError({ step, code });
  }

  #check(step: SocketFailure['step'], result: number): void {
    if (result !== 0) throw new WinsockError({ step, code: this.#functions.lastError() });
  }
}

function bind(library: LibraryHandle): WinsockFunctions {
  const bytes = koffi.pointer('uint8_t');
  const int32InOut = koffi.inout(koffi.pointer('int32_t'));
  const declare = (name: string, result: string, parameters: Parameters<LibraryHandle['func']>[3]) =>
    library.func('__stdcall', name, result, parameters);
  return {
    startup: declare('WSAStartup', 'int', ['uint16_t', bytes]),
    lastError: declare('WSAGetLastError', 'int', []),
    socket: declare('socket', 'intptr_t', ['int', 'int', 'int']),
    bind: declare('bind', 'int', ['intptr_t', bytes, 'int']),
    getsockname: declare('getsockname', 'int', ['intptr_t', bytes, int32InOut]),
    listen: declare('listen', 'int', ['intptr_t', 'int']),
    accept: declare('accept', 'intptr_t', ['intptr_t', koffi.pointer('void'), koffi.pointer('void')]),
    connect: declare('connect', 'int', ['intptr_t', bytes, 'int']),
    getsockopt: declare('getsockopt', 'int', ['intptr_t', 'int', 'int', int32InOut, int32InOut]),
    ioctlsocket: declare('ioctlsocket', 'int', ['intptr_t', 'int32_t', int32InOut]),
    recv: declare('recv', 'int', ['intptr_t', bytes, 'int', 'int']),
    send: declare('send', 'int', ['intptr_t', bytes, 'int', 'int']),
    shutdown: declare('shutdown', 'int', ['intptr_t', 'int']),
    closesocket: declare('closesocket', 'int', ['intptr_t']),
    poll: declare('WSAPoll', 'int', [bytes, 'uint32_t', 'int']),
  };
}
