// The Hyper-V sockets between this host and its guests (hcs-runtime C.3).
import type { Duplex } from 'node:stream';
import { AcceptQueue } from '../../guest/accept-queue.ts';
import type { RuntimeId } from '../../node/backend.ts';
import type { GuestListener, GuestSockets } from '../../node/guest-sockets.ts';
import { hyperVAddress, vsockServiceId } from './address.ts';
import { HyperVConnection } from './connection.ts';
import type { FromPump, ToPump } from './pump-messages.ts';
import { PumpThread } from './pump-thread.ts';
import { socketError } from './socket-error.ts';

/** Most connections of one listener that wait to be accepted. */
const backlog = 16;
/** How far the pump may read ahead: on one connection, and on all together. */
const readAhead = { most: 256 << 10, least: 16 << 10, together: 64 << 20 } as const;

/** The pump as the main thread sees it. */
export interface PumpHandle {
  send(message: ToPump): void;
  stop(): Promise<void>;
}

/** Starts a pump. `died` is called once if the pump ends without being stopped. */
export type StartPump = (
  received: (message: FromPump) => void,
  died: (cause: unknown) => void,
) => PumpHandle | Promise<PumpHandle>;

export class HyperVSockets implements GuestSockets {
  readonly #listeners = new Map<number, HyperVListener>();
  readonly #connections = new Map<number, HyperVConnection>();
  /** Connections to guests that are being made. */
  readonly #dials = new Map<number, PromiseWithResolvers<Duplex>>();
  #pump: PumpHandle | undefined;
  #death: Error | undefined;
  #lastListener = 0;
  #lastDial = 0;

  /** @param library path of ws2_32.dll */
  static start(library: string): Promise<HyperVSockets> {
    return HyperVSockets.over((received, died) => PumpThread.start(library, received, died));
  }

  static async over(startPump: StartPump): Promise<HyperVSockets> {
    const sockets = new HyperVSockets();
    sockets.#pump = await startPump(
      (message) => sockets.#received(message),
      (cause) => sockets.#died(cause),
    );
    return sockets;
  }

  async listen(runtimeId: RuntimeId, port: number): Promise<GuestListener> {
    const address = hyperVAddress(runtimeId, vsockServiceId(port));
    const pump = this.#livePump();
    this.#lastListener += 1;
    const number = this.#lastListener;
    const listener = new HyperVListener(() => pump.send({ type: 'closeListener', listener: number }));
    this.#listeners.set(number, listener);
    pump.send({ type: 'listen', listener: number, address });
    await listener.listening.promise;
    return listener;
  }

  async connect(runtimeId: RuntimeId, port: number, signal: AbortSignal): Promise<Duplex> {
    signal.throwIfAborted();
    const address = hyperVAddress(runtimeId, vsockServiceId(port));
    const pump = this.#livePump();
    this.#lastDial += 1;
    const dial = this.#lastDial;
    const dialled = Promise.withResolvers<Duplex>();
    this.#dials.set(dial, dialled);
    const abandon = () => {
      if (this.#dials.delete(dial)) pump.send({ type: 'cancelDial', dial });
      dialled.reject(signal.reason);
    };
    signal.addEventListener('abort', abandon, { once: true });
    pump.send({ type: 'dial', dial, address });
    try {
      return await dialled.promise;
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  /** Ends all listeners and connections. */
  async close(): Promise<void> {
    const pump = this.#pump;
    this.#pump = undefined;
    if (pump === undefined) return;
    this.#end(new Error('the sockets were closed'));
    await pump.stop();
  }

  #livePump(): PumpHandle {
    if (this.#death !== undefined) throw this.#death;
    if (this.#pump === undefined) throw new Error('the sockets are closed');
    return this.#pump;
  }

  #received(message: FromPump): void {
    if ('listener' in message) this.#receivedFor(message);
    else if ('dial' in message) this.#receivedOf(message);
    else if ('connection' in message) this.#receivedBy(message);
  }

  #receivedFor(message: Extract<FromPump, { readonly listener: number }>): void {
    const listener = this.#listeners.get(message.listener);
    switch (message.type) {
      case 'listening':
        listener?.listening.resolve();
        break;
      case 'listenFailed':
        this.#listeners.delete(message.listener);
        listener?.listening.reject(socketError(message.failure));
        break;
      case 'listenerClosed':
        this.#listeners.delete(message.listener);
        listener?.closed.resolve();
        break;
      case 'accepted':
        this.#accepted(message.connection, listener);
        break;
    }
  }

  #receivedOf(message: Extract<FromPump, { readonly dial: number }>): void {
    const dialled = this.#dials.get(message.dial);
    this.#dials.delete(message.dial);
    if (message.type === 'dialFailed') {
      dialled?.reject(socketError(message.failure));
      return;
    }
    const connection = this.#connection(message.connection);
    // The users of the connection see its end by `close`.
    connection.on('error', () => undefined);
    if (dialled === undefined) connection.destroy();
    connection.taken();
    dialled?.resolve(connection);
  }

  #accepted(id: number, listener: HyperVListener | undefined): void {
    const connection = this.#connection(id);
    if (listener === undefined) connection.destroy();
    else listener.queue.arrive(connection);
  }

  #connection(id: number): HyperVConnection {
    const connection = new HyperVConnection(
      id,
      (message) => this.#pump?.send(message),
      () => this.#connections.delete(id),
      () => this.#readAhead,
    );
    this.#connections.set(id, connection);
    return connection;
  }

  /** The share of each connection. */
  get #readAhead(): number {
    const share = Math.floor(readAhead.together / Math.max(1, this.#connections.size));
    return Math.max(readAhead.least, Math.min(readAhead.most, share));
  }

  /** Data of a connection that was closed meanwhile is dropped. */
  #receivedBy(
    message: Exclude<Extract<FromPump, { readonly connection: number }>, { readonly type: 'accepted' | 'dialled' }>,
  ): void {
    const connection = this.#connections.get(message.connection);
    switch (message.type) {
      case 'data':
        connection?.received(message.bytes);
        break;
      case 'end':
        connection?.ended();
        break;
      case 'written':
        connection?.handedOver(message.bytes);
        break;
      case 'broken':
        connection?.broke(message.failure);
        break;
    }
  }

  #died(cause: unknown): void {
    this.#pump = undefined;
    this.#death = new Error('the thread of the Hyper-V sockets died', { cause });
    this.#end(this.#death);
  }

  #end(cause: Error): void {
    for (const listener of this.#listeners.values()) listener.end(cause);
    this.#listeners.clear();
    for (const dialled of this.#dials.values()) dialled.reject(cause);
    this.#dials.clear();
    for (const connection of this.#connections.values()) connection.died(cause);
    this.#connections.clear();
  }
}

class HyperVListener implements GuestListener {
  readonly queue = new AcceptQueue<HyperVConnection>(backlog);
  readonly listening = Promise.withResolvers<void>();
  readonly closed = Promise.withResolvers<void>();
  readonly #requestClose: () => void;
  #isClosing = false;

  constructor(requestClose: () => void) {
    this.#requestClose = requestClose;
  }

  async accept(signal: AbortSignal): Promise<Duplex> {
    const connection = await this.queue.accept(signal);
    connection.taken();
    return connection;
  }

  /** Resolves when the address is free. Accepted connections live on. */
  close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.queue.close(new Error('the listener was closed'));
      this.#requestClose();
    }
    return this.closed.promise;
  }

  /** The pump's thread is gone, and the listener's socket with it. */
  end(cause: Error): void {
    this.#isClosing = true;
    this.queue.close(cause);
    this.listening.reject(cause);
    this.closed.resolve();
  }
}
