// The sockets between guests and the agents of their host. An address is a VM and a port (hcs-runtime C.3).
import type { Duplex } from 'node:stream';
import { AcceptQueue } from '../../../agent/guest/accept-queue.ts';
import type { RuntimeId } from '../../../agent/node/backend.ts';
import type { GuestListener, GuestSockets } from '../../../agent/node/guest-sockets.ts';
import type { DialHost } from '../../../simulator/service/node.ts';
import type { Process } from '../process.ts';
import { connectedPair, type PipeEnd, type PipeOptions } from './pipe.ts';

/** Most connections that wait to be accepted, as on Windows. More are refused. */
const backlog = 16;

export class GuestPorts {
  readonly #pipe: PipeOptions;
  readonly #listeners = new Map<string, Listener>();

  constructor(pipe: PipeOptions) {
    this.#pipe = pipe;
  }

  /** Guests connect with this. Never resolves once the host has lost its power. */
  readonly dial: DialHost = async (vm, port) => {
    await this.#travel();
    const listener = this.#listeners.get(addressOf(vm, port));
    if (listener === undefined) {
      await this.#travel();
      return 'refused';
    }
    const [host, guest] = connectedPair(this.#pipe);
    // Its users see its end by `close`.
    guest.on('error', () => undefined);
    // The connection may break before the host's end has a user.
    const ignore = () => undefined;
    host.on('error', ignore);
    // The guest has its end before anything can come from the host.
    void this.#travel().then(() => {
      host.off('error', ignore);
      if (this.#listeners.get(listener.address) === listener) listener.arrive(host);
      else host.destroy();
    });
    return guest;
  };

  socketsOf(process: Process): GuestSockets {
    const connections = new Set<PipeEnd>();
    const listeners = new Set<Listener>();
    process.onDeath(() => {
      for (const listener of listeners) this.#forget(listener);
      for (const connection of connections) connection.sever();
    });
    const listen = (address: string) => {
      if (this.#listeners.has(address)) throw addressInUse(address);
      const listener = new Listener(address, connections, () => {
        listeners.delete(listener);
        this.#forget(listener);
      });
      listeners.add(listener);
      this.#listeners.set(address, listener);
      return listener;
    };
    const { latency, source } = this.#pipe;
    return {
      listen: (vm, port) => process.call('listen', source, latency, () => listen(addressOf(vm, port))),
      connect: (vm, port) => process.call('connect', source, latency, () => this.#connect(addressOf(vm, port))),
    };
  }

  /** Programs of simulated guests listen on no ports in this world. */
  #connect(address: string): never {
    throw Object.assign(new Error(`connect ECONNREFUSED: ${address}`), { code: 'ECONNREFUSED' });
  }

  #forget(listener: Listener): void {
    if (this.#listeners.get(listener.address) === listener) this.#listeners.delete(listener.address);
  }

  #travel(): Promise<void> {
    const { latency, source, world } = this.#pipe;
    return world.delay(latency(), source);
  }
}

class Listener implements GuestListener {
  readonly address: string;
  readonly #connections: Set<PipeEnd>;
  readonly #onClose: () => void;
  readonly #queue = new AcceptQueue<PipeEnd>(backlog);

  constructor(address: string, connections: Set<PipeEnd>, onClose: () => void) {
    this.address = address;
    this.#connections = connections;
    this.#onClose = onClose;
  }

  arrive(connection: PipeEnd): void {
    this.#connections.add(connection);
    connection.once('close', () => this.#connections.delete(connection));
    this.#queue.arrive(connection);
  }

  accept(signal: AbortSignal): Promise<Duplex> {
    return this.#queue.accept(signal);
  }

  async close(): Promise<void> {
    this.#onClose();
    this.#queue.close(new Error('the listener was closed'));
  }
}

function addressOf(vm: RuntimeId, port: number): string {
  return `${vm}:${port}`;
}

function addressInUse(address: string): Error {
  return Object.assign(new Error(`listen EADDRINUSE: ${address}`), { code: 'EADDRINUSE' });
}
