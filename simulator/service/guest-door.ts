// The socket at which the host reaches the ports of a simulated guest (simulator/wire/guest-ports.ts).
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { acceptedLine, firstLine, portOf } from '../wire/guest-ports.ts';

/** Most connections to one guest. More are refused. */
const mostConnections = 256;

/** What a guest does with a connection to one of its ports; undefined = no program listens there. */
export type Answering = (port: number) => ((connection: Duplex) => void) | undefined;

export class GuestDoor {
  readonly #server: Server;
  readonly #connections = new Set<Socket>();

  private constructor(answering: Answering) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#connections.add(socket);
      // Every user of the socket sees its end by `close`.
      socket.on('error', () => undefined);
      socket.once('close', () => this.#connections.delete(socket));
      void serve(socket, answering);
    });
    this.#server.maxConnections = mostConnections;
  }

  static async open(path: string, answering: Answering): Promise<GuestDoor> {
    // The first listener for a guest makes the folder, and nobody may have listened yet.
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
    const door = new GuestDoor(answering);
    await new Promise<void>((resolve, reject) => {
      door.#server.once('error', reject);
      door.#server.listen(path, () => resolve());
    });
    return door;
  }

  /** The VM is gone. */
  close(): void {
    this.#server.close();
    for (const connection of this.#connections) connection.destroy();
  }
}

async function serve(socket: Socket, answering: Answering): Promise<void> {
  const line = await firstLine(socket);
  const port = line === undefined ? undefined : portOf(line);
  const answer = port === undefined ? undefined : answering(port);
  if (answer === undefined) {
    socket.destroy();
    return;
  }
  socket.write(acceptedLine);
  answer(socket);
}
