// Moves bytes between Hyper-V sockets and the main thread, on a separate thread, because Node cannot adopt such a
// socket (hcs-runtime C.3). One loop serves all sockets. It sleeps in `poll`, and every event wakes it, including a
// datagram of the main thread.
import { Allowance } from '../../../runtime/allowance.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import { PumpConnection } from './pump-connection.ts';
import { PumpDials } from './pump-dials.ts';
import type { FromPump, ToPump } from './pump-messages.ts';
import { type PollEntry, pollBits, type Socket, type Winsock, WinsockError } from './winsock.ts';

/** The same number as in hcsshim (hcs-runtime H). */
const backlog = 16;
const receiveBytes = 64 << 10;
/** Most connections of one listener at once and in a second. A guest that connects more often waits to be accepted. */
const acceptBurst = 256;
const acceptsPerSecond = 32;

interface Listener {
  readonly socket: Socket;
  readonly allowance: Allowance;
  restsUntil: number;
}

export interface PumpPorts {
  readonly winsock: Winsock;
  readonly post: (message: FromPump) => void;
  /** The next message of the main thread, if any. */
  readonly next: () => ToPump | undefined;
  /** Called before the pump sleeps: from now on the main thread has to wake it. */
  readonly mayNeedWaking: () => void;
}

export class Pump {
  readonly #ports: PumpPorts;
  readonly #listeners = new Map<number, Listener>();
  readonly #connections = new Map<number, PumpConnection>();
  readonly #dials: PumpDials;
  readonly #buffer = new Uint8Array(receiveBytes);
  #lastConnection = 0;
  #isStopped = false;

  constructor(ports: PumpPorts) {
    this.#ports = ports;
    this.#dials = new PumpDials({ ...ports, connected: (socket) => this.#connect(socket) });
  }

  /** Returns when the main thread says `stop`. */
  run(): void {
    const turns = this.turns();
    while (turns.next().done !== true);
  }

  /** The same, one turn at a time: each handles messages, sleeps until data can be moved, and moves it. */
  *turns(): Generator<void, void> {
    const { winsock, post } = this.#ports;
    const wake = winsock.openWakeSocket();
    post({ type: 'ready', wakePort: wake.port });
    while (!this.#isStopped) {
      this.#obey();
      if (!this.#isStopped) this.#turn(wake.socket);
      yield;
    }
    this.#dials.close();
    for (const { socket } of this.#listeners.values()) winsock.close(socket);
    for (const connection of this.#connections.values()) winsock.close(connection.socket);
    winsock.close(wake.socket);
  }

  #turn(wakeSocket: Socket): void {
    const now = performance.now();
    const listeners = [...this.#listeners].filter(([, { restsUntil }]) => restsUntil <= now);
    const connections = [...this.#connections.values()].filter((each) => each.interest !== 0);
    const ready = connections.filter((each) => each.restsUntil <= now);
    const entries: PollEntry[] = [
      { socket: wakeSocket, interest: pollBits.readable },
      ...listeners.map(([, { socket }]) => ({ socket, interest: pollBits.readable })),
      ...ready,
    ];
    const { pumpRest, pumpSleep } = fixedTimes.windows;
    const isShort = ready.length < connections.length || this.#dials.size > 0;
    const happened = this.#ports.winsock.poll([...entries, ...this.#dials.entries], isShort ? pumpRest : pumpSleep);
    this.#dials.look(happened.slice(entries.length));
    if (happened[0] !== 0) this.#drain(wakeSocket);
    for (const [index, [number, listener]] of listeners.entries())
      if (happened[1 + index] !== 0) this.#accept(number, listener);
    for (const [index, connection] of ready.entries())
      if (happened[1 + listeners.length + index] !== 0) this.#move(connection);
  }

  /** Discards wake-up datagrams, which have no content. */
  #drain(wakeSocket: Socket): void {
    try {
      while (this.#ports.winsock.receive(wakeSocket, this.#buffer) !== undefined);
    } catch (error) {
      if (!(error instanceof WinsockError)) throw error;
    }
  }

  #accept(number: number, listener: Listener): void {
    try {
      for (let wait = 0; wait === 0; ) {
        const accepted = this.#ports.winsock.accept(listener.socket);
        if (accepted === undefined) return;
        wait = listener.allowance.take();
        listener.restsUntil = performance.now() + wait;
        this.#ports.post({ type: 'accepted', listener: number, connection: this.#connect(accepted) });
      }
    } catch (error) {
      // A peer that disconnected before it was accepted is not an error of the listener.
      if (!(error instanceof WinsockError)) throw error;
    }
  }

  /** Returns the number of the new connection. */
  #connect(socket: Socket): number {
    this.#lastConnection += 1;
    this.#connections.set(this.#lastConnection, new PumpConnection(this.#lastConnection, socket));
    return this.#lastConnection;
  }

  #move(connection: PumpConnection): void {
    try {
      if (connection.move(this.#ports.winsock, this.#buffer, this.#ports.post)) return;
      connection.restsUntil = performance.now() + fixedTimes.windows.pumpRest;
    } catch (error) {
      this.#broke(connection, error);
    }
  }

  #broke(connection: PumpConnection, error: unknown): void {
    if (!(error instanceof WinsockError)) throw error;
    this.#close(connection);
    this.#ports.post({ type: 'broken', connection: connection.id, failure: error.failure });
  }

  #close(connection: PumpConnection): void {
    this.#connections.delete(connection.id);
    this.#ports.winsock.close(connection.socket);
  }

  #obey(): void {
    this.#ports.mayNeedWaking();
    for (let message = this.#ports.next(); message !== undefined; message = this.#ports.next()) {
      switch (message.type) {
        case 'listen':
          this.#listen(message.listener, message.address);
          break;
        case 'closeListener':
          this.#closeListener(message.listener);
          break;
        case 'dial':
          this.#dials.begin(message.dial, message.address);
          break;
        case 'cancelDial':
          this.#dials.cancel(message.dial);
          break;
        case 'stop':
          this.#isStopped = true;
          return;
        default:
          this.#serve(message);
      }
    }
  }

  #listen(listener: number, address: Uint8Array): void {
    const { winsock, post } = this.#ports;
    try {
      const socket = winsock.listen(address, backlog);
      const allowance = new Allowance(performance, acceptsPerSecond, acceptBurst);
      this.#listeners.set(listener, { socket, allowance, restsUntil: 0 });
      post({ type: 'listening', listener });
    } catch (error) {
      if (!(error instanceof WinsockError)) throw error;
      post({ type: 'listenFailed', listener, failure: error.failure });
    }
  }

  #closeListener(listener: number): void {
    const closed = this.#listeners.get(listener);
    if (closed !== undefined) this.#ports.winsock.close(closed.socket);
    this.#listeners.delete(listener);
    this.#ports.post({ type: 'listenerClosed', listener });
  }

  /** A message to a connection that broke meanwhile is ignored. */
  #serve(message: Extract<ToPump, { readonly connection: number }>): void {
    const connection = this.#connections.get(message.connection);
    if (connection === undefined) return;
    connection.restsUntil = 0;
    try {
      switch (message.type) {
        case 'write':
          connection.write(message.bytes, this.#ports.winsock, this.#ports.post);
          break;
        case 'credit':
          connection.credit += message.bytes;
          break;
        case 'shutdown':
          connection.shutdown(this.#ports.winsock);
          break;
        case 'close':
          this.#close(connection);
          break;
      }
    } catch (error) {
      this.#broke(connection, error);
    }
  }
}
