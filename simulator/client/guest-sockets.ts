// The agent's listeners for simulated guests: Unix sockets with the manners of Hyper-V ones (hcs-runtime C.3): bound
// before the VM starts, a backlog of 16, half-close allowed.
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AcceptQueue } from '../../agent/guest/accept-queue.ts';
import type { RuntimeId } from '../../agent/node/backend.ts';
import type { GuestListener, GuestSockets } from '../../agent/node/guest-sockets.ts';
import { guestSocketPath } from '../wire/guest-address.ts';

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

/** What a connection buffers, besides what was read at once. */
const readAhead = 16 * 1024;

class SimulatedGuestListener implements GuestListener {
  readonly #queue = new AcceptQueue<Socket>(backlog);
  readonly #server = createServer({ allowHalfOpen: true, pauseOnConnect: true, highWaterMark: readAhead }, (socket) =>
    this.#queue.arrive(socket),
  );

  constructor() {
    // One is served, and the others wait: what is beyond that costs no more than being closed.
    this.#server.maxConnections = backlog + 1;
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

  /** Nothing is read of a connection before: many may wait. */
  async accept(signal: AbortSignal): Promise<Duplex> {
    const socket = await this.#queue.accept(signal);
    // As a connection that was not paused begins: nobody has said yet how its bytes are to be taken.
    Object.assign(socket, { readableFlowing: null });
    socket.read(0);
    return socket;
  }

  /** Accepted connections live on, and the server's own close waits for them: the address is free before. */
  async close(): Promise<void> {
    if (this.#server.listening) this.#server.close();
    this.#queue.close(new Error('the listener was closed'));
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
