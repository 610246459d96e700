// The agent's listeners for simulated guests: Unix sockets with the manners of Hyper-V ones (hcs-runtime C.3): bound
// before the VM starts, a backlog of 16, half-close allowed.
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { GuestListener, GuestSockets } from '../../guest/sockets.ts';
import type { RuntimeId } from '../backend.ts';
import { guestSocketPath } from './guest-address.ts';

/** Connections that nobody has accepted yet; more are refused. */
const backlog = 16;

export class SimulatedGuestSockets implements GuestSockets {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async listen(runtimeId: RuntimeId, port: number): Promise<GuestListener> {
    const path = guestSocketPath(this.#directory, runtimeId, port);
    const listener = new SimulatedGuestListener();
    try {
      await listener.bind(path);
    } catch (error) {
      if (!isAddressInUse(error) || (await answers(path))) throw error;
      // An agent that was killed left it behind.
      await rm(path, { force: true });
      await listener.bind(path);
    }
    return listener;
  }
}

interface Waiting {
  readonly resolve: (stream: Duplex) => void;
  readonly reject: (error: Error) => void;
}

class SimulatedGuestListener implements GuestListener {
  readonly #server: Server;
  readonly #arrived: Socket[] = [];
  readonly #waiting = new Set<Waiting>();
  #isClosed = false;

  constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#arrive(socket));
  }

  bind(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ path, backlog }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  accept(signal: AbortSignal): Promise<Duplex> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#isClosed) return Promise.reject(new Error('the listener is closed'));
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    return new Promise((resolve, reject) => {
      const onAbort = () => waiting.reject(signal.reason);
      const settle = () => {
        signal.removeEventListener('abort', onAbort);
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting = {
        resolve: (stream) => {
          settle();
          resolve(stream);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiting);
    });
  }

  /** The address is free at once; connections that were accepted live on. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#server.close();
    for (const waiting of this.#waiting) waiting.reject(new Error('the listener was closed'));
    for (const socket of this.#arrived.splice(0)) socket.destroy();
    return Promise.resolve();
  }

  #arrive(socket: Socket): void {
    const [first] = this.#waiting;
    if (first !== undefined) first.resolve(socket);
    else if (!this.#isClosed && this.#arrived.length < backlog) this.#keep(socket);
    else socket.destroy();
  }

  /** A connection that breaks while it waits is still handed out: reading it tells. */
  #keep(socket: Socket): void {
    socket.on('error', () => {});
    this.#arrived.push(socket);
  }
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
