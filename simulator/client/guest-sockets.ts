// The agent's sockets for simulated guests: Unix sockets that behave like Hyper-V sockets (hcs-runtime C.3). Listeners
// are bound before the VM starts and have a backlog of 16. Connections allow half-close.
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AcceptQueue } from '../../agent/guest/accept-queue.ts';
import type { RuntimeId } from '../../agent/node/backend.ts';
import type { GuestListener, GuestSockets } from '../../agent/node/guest-sockets.ts';
import { guestDoorPath, guestSocketPath } from '../wire/guest-address.ts';
import { connectLine, firstLine, isAccepted } from '../wire/guest-ports.ts';

/** Most connections that wait to be accepted. More are refused. */
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
      // A killed agent may have left the socket behind.
      await rm(path, { force: true });
      await listener.bind(path);
    }
    return listener;
  }

  async connect(runtimeId: RuntimeId, port: number, signal: AbortSignal): Promise<Duplex> {
    signal.throwIfAborted();
    const socket = connect({ path: guestDoorPath(this.#directory, runtimeId), allowHalfOpen: true });
    // The users of the socket see its end by `close`.
    socket.on('error', () => undefined);
    const abandon = () => socket.destroy();
    signal.addEventListener('abort', abandon, { once: true });
    socket.write(connectLine(port));
    try {
      const answer = await firstLine(socket);
      signal.throwIfAborted();
      if (answer !== undefined && isAccepted(answer)) return socket;
      socket.destroy();
      throw Object.assign(new Error(`connect ECONNREFUSED: port ${port} of the guest`), { code: 'ECONNREFUSED' });
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }
}

/** Bytes that a connection buffers, besides the first read. */
const readAhead = 16 * 1024;

class SimulatedGuestListener implements GuestListener {
  readonly #queue = new AcceptQueue<Socket>(backlog);
  readonly #server = createServer({ allowHalfOpen: true, pauseOnConnect: true, highWaterMark: readAhead }, (socket) =>
    this.#queue.arrive(socket),
  );

  constructor() {
    // One connection is served and the others wait. Any further one is closed at once.
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

  /** No data is read from a connection before it is accepted, because many may wait. */
  async accept(signal: AbortSignal): Promise<Duplex> {
    return restored(await this.#queue.accept(signal));
  }

  /** Frees the address without waiting for accepted connections, which live on. */
  async close(): Promise<void> {
    if (this.#server.listening) this.#server.close();
    this.#queue.close(new Error('the listener was closed'));
  }
}

/** Restores the initial state of a stream, in which no way of reading was chosen yet. */
function restored(socket: Socket): Socket {
  Object.assign(socket, { readableFlowing: null });
  socket.read(0);
  return socket;
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
