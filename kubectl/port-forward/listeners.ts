// The local ports on which `kubectl luvm port-forward` listens, each of them for one port of the guest.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../../runtime/error-text.ts';
import { addressText, type Forward, type LocalAddress } from './forwards.ts';

/** Most connections of local programs to one listener. Further ones are closed at once. */
const mostConnections = 128;

export interface LocalConnection {
  /** Paused. It stays half open when one side has ended. */
  readonly socket: Socket;
  readonly localPort: number;
  readonly port: number;
}

export interface ListenersPorts {
  readonly connected: (connection: LocalConnection) => void;
  /** A connection was closed because there are too many. */
  readonly dropped: (localPort: number) => void;
}

export class Listeners {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #ports: ListenersPorts;

  constructor(ports: ListenersPorts) {
    this.#ports = ports;
  }

  /** Returns where it listens. Undefined if this computer lacks an optional address. */
  async listen({ localPort, port }: Forward, { address, isOptional }: LocalAddress): Promise<string | undefined> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
      this.#ports.connected({ socket, localPort: portOf(server), port });
    });
    server.maxConnections = mostConnections;
    server.on('drop', () => this.#ports.dropped(portOf(server)));
    try {
      await listening(server, localPort, address);
    } catch (error) {
      if (isOptional) return undefined;
      throw new Error(`cannot listen on ${addressText(address, localPort)}: ${messageOf(error)}`);
    }
    this.#servers.push(server);
    return addressText(address, portOf(server));
  }

  /** Ends all connections, too. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      // A connection that cannot be accepted concerns no other.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}
