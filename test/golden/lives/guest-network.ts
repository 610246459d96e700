// The functions of ws2_32.dll over which the guest of a life dials its host, and the thread that calls them, in place.
import { guestPorts } from '../../../agent/node/guest-sockets.ts';
import { addressFamilyHyperV } from '../../../agent/windows/hvsock/address.ts';
import { Pump } from '../../../agent/windows/hvsock/pump.ts';
import type { FromPump, ToPump } from '../../../agent/windows/hvsock/pump-messages.ts';
import type { PumpHandle } from '../../../agent/windows/hvsock/sockets.ts';
import { pollBits, Winsock, type WinsockFunctions } from '../../../agent/windows/hvsock/winsock.ts';
import type { Activity } from './activity.ts';
import { frameNames, GuestConnection } from './guest-connection.ts';
import { hexOf } from './operations.ts';

const wouldBlock = 10035;
const connectionRefused = 10061;
const connectionReset = 10054;
const invalidArgument = 10022;
const pollEntryBytes = 16;

export interface Request {
  readonly name: string;
  readonly type: number;
  readonly id: bigint;
  readonly payload: string;
}

type Socket =
  | { readonly kind: 'other' }
  | { readonly kind: 'listener'; vmId: string; port: number; readonly waiting: GuestConnection[] }
  | { readonly kind: 'connection'; readonly connection: GuestConnection };

export class GuestNetwork implements WinsockFunctions {
  readonly #activity: Activity;
  readonly #sockets = new Map<number, Socket>();
  readonly #turns: (() => void)[] = [];
  #lastSocket = 0;
  #error = 0;
  #happened = false;
  #isScheduled = false;
  #firstId: bigint | undefined;
  /** A whole request on the bridge. */
  onRequest: (request: Request, connection: GuestConnection) => void = () => undefined;

  constructor(activity: Activity) {
    this.#activity = activity;
  }

  /** Ids of the bridge count from this one. */
  get firstId(): bigint {
    return this.#firstId ?? 0n;
  }

  // --- what the guest does ----------------------------------------------------------------------------------------------

  /** Undefined: nobody listens. */
  dial(port: number): GuestConnection | undefined {
    const listener = [...this.#sockets.values()].find((each) => each.kind === 'listener' && each.port === port);
    if (listener?.kind !== 'listener') return undefined;
    const connection = new GuestConnection(port);
    listener.waiting.push(connection);
    this.wake();
    return connection;
  }

  write(connection: GuestConnection, bytes: Buffer): void {
    if (bytes.length > 0 && !connection.hasEnded) connection.toHost.push(bytes);
    this.wake();
  }

  /** Lets the pump move what can be moved. */
  wake(): void {
    this.#activity.noted();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (const turn of this.#turns) turn();
    });
  }

  // --- the thread -------------------------------------------------------------------------------------------------------

  startPump(received: (message: FromPump) => void): PumpHandle {
    const said: ToPump[] = [];
    const pump = new Pump({
      winsock: new Winsock(this),
      post: (message) =>
        setImmediate(() => {
          this.#activity.noted();
          received(message);
        }),
      next: () => said.shift(),
      mayNeedWaking: () => undefined,
    });
    const turns = pump.turns();
    const turn = () => {
      do {
        this.#happened = false;
        turns.next();
      } while (this.#happened || said.length > 0);
    };
    this.#turns.push(turn);
    turn();
    return {
      send: (message) => {
        said.push(message);
        this.wake();
      },
      stop: async () => {
        said.push({ type: 'stop' });
        turn();
      },
    };
  }

  // --- the functions ----------------------------------------------------------------------------------------------------

  startup(): number {
    return 0;
  }

  lastError(): number {
    return this.#error;
  }

  socket(): number {
    return this.#add({ kind: 'other' });
  }

  bind(socket: number, address: Uint8Array): number {
    const bytes = Buffer.from(address);
    if (bytes.readUInt16LE(0) !== addressFamilyHyperV) return 0;
    this.#sockets.set(socket, {
      kind: 'listener',
      vmId: guidAt(bytes, 4),
      // The first field of the service's GUID.
      port: bytes.readUInt32LE(20),
      waiting: [],
    });
    return 0;
  }

  getsockname(): number {
    return 0;
  }

  listen(socket: number): number {
    const listener = this.#sockets.get(socket);
    if (listener?.kind !== 'listener') return this.#fail(invalidArgument);
    const { port, vmId } = listener;
    this.#activity.record({ by: 'host', call: 'listen', args: { port, vmId } });
    return 0;
  }

  accept(socket: number): number {
    const listener = this.#sockets.get(socket);
    const connection = listener?.kind === 'listener' ? listener.waiting.shift() : undefined;
    if (connection === undefined) return this.#fail(wouldBlock);
    this.#activity.record({ by: 'host', call: 'accept', args: { port: connection.port } });
    return this.#add({ kind: 'connection', connection });
  }

  /** The recorded host connects to no guest. */
  connect(): number {
    return this.#fail(connectionRefused);
  }

  getsockopt(): number {
    return 0;
  }

  ioctlsocket(): number {
    return 0;
  }

  recv(socket: number, into: Uint8Array): number {
    const connection = this.#connection(socket);
    if (connection === undefined || connection.isReset) return this.#fail(connectionReset);
    return connection.take(into) ?? (connection.hasEnded ? 0 : this.#fail(wouldBlock));
  }

  send(socket: number, bytes: Uint8Array): number {
    const connection = this.#connection(socket);
    if (connection === undefined || connection.isReset) return this.#fail(connectionReset);
    if (connection.port === guestPorts.bridge) this.#receiveFrames(connection, bytes);
    else connection.sent.push(Buffer.from(bytes));
    return bytes.byteLength;
  }

  shutdown(socket: number): number {
    const connection = this.#connection(socket);
    if (connection === undefined) return 0;
    this.#noteSent(connection);
    this.#activity.record({ by: 'host', call: 'closeWrite', args: { port: connection.port } });
    return 0;
  }

  closesocket(socket: number): number {
    const closed = this.#sockets.get(socket);
    this.#sockets.delete(socket);
    if (closed?.kind === 'listener') {
      this.#activity.record({ by: 'host', call: 'closeListener', args: { port: closed.port } });
    }
    if (closed?.kind === 'connection') {
      this.#noteSent(closed.connection);
      this.#activity.record({ by: 'host', call: 'close', args: { port: closed.connection.port } });
    }
    return 0;
  }

  /** Never sleeps: whoever wakes it comes again. */
  poll(entries: Uint8Array, count: number): number {
    const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
    let happened = 0;
    for (let index = 0; index < count; index += 1) {
      const at = index * pollEntryBytes;
      const found = this.#readiness(Number(bytes.readBigInt64LE(at))) & bytes.readInt16LE(at + 8);
      bytes.writeInt16LE(found, at + 10);
      if (found !== 0) happened += 1;
    }
    this.#happened ||= happened > 0;
    return happened;
  }

  #readiness(number: number): number {
    const socket = this.#sockets.get(number);
    if (socket?.kind === 'listener') return socket.waiting.length > 0 ? pollBits.readable : 0;
    if (socket?.kind !== 'connection') return 0;
    return pollBits.writable | (socket.connection.isReadable ? pollBits.readable : 0);
  }

  #receiveFrames(connection: GuestConnection, bytes: Uint8Array): void {
    const { frames } = connection;
    frames.push(bytes);
    for (let read = frames.next(); read.kind === 'frame'; read = frames.next()) {
      const { id, type } = read.frame;
      const payload = read.frame.payload.toString('utf8');
      this.#firstId ??= id;
      const name = frameNames.get(type) ?? hexOf(type);
      const shown = { frame: name, type: hexOf(type), id: Number(id - this.#firstId), payload };
      this.#activity.record({ by: 'host', ...shown });
      this.onRequest({ name, type, id, payload }, connection);
    }
  }

  /** Once for each stream, when its sending half ends. The seed of the guest is random. */
  #noteSent(connection: GuestConnection): void {
    const bytes = Buffer.concat(connection.sent);
    if (connection.isNoted || bytes.length === 0) return;
    connection.isNoted = true;
    const { port } = connection;
    const text = port === guestPorts.entropy ? {} : { text: bytes.toString('utf8') };
    this.#activity.record({ by: 'host', call: 'sends', args: { bytes: bytes.length, port, ...text } });
  }

  #connection(socket: number): GuestConnection | undefined {
    const found = this.#sockets.get(socket);
    return found?.kind === 'connection' ? found.connection : undefined;
  }

  #add(socket: Socket): number {
    this.#lastSocket += 1;
    this.#sockets.set(this.#lastSocket, socket);
    return this.#lastSocket;
  }

  #fail(code: number): -1 {
    this.#error = code;
    return -1;
  }
}

/** In Windows memory order. */
function guidAt(bytes: Buffer, at: number): string {
  const number = (offset: number, length: number) =>
    bytes
      .readUIntLE(at + offset, length)
      .toString(16)
      .padStart(length * 2, '0');
  const rest = bytes.toString('hex', at + 8, at + 16);
  return [number(0, 4), number(4, 2), number(6, 2), rest.slice(0, 4), rest.slice(4)].join('-');
}
