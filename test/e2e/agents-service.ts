// What a Service is to agents: one address for all replicas of the operator, a connection to any of them that takes it.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class AgentsService {
  /** Ports of the replicas. */
  backends: readonly number[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next = 0;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#forward(socket, this.backends.length));
  }

  static async listen(): Promise<AgentsService> {
    const service = new AgentsService();
    service.#server.listen(0, '127.0.0.1');
    await once(service.#server, 'listening');
    return service;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #forward(client: Socket, attempts: number): void {
    const port = this.backends[this.#next % Math.max(1, this.backends.length)];
    this.#next += 1;
    if (port === undefined || attempts === 0) {
      client.destroy();
      return;
    }
    const backend = connect(port, '127.0.0.1');
    let open = false;
    backend.once('connect', () => {
      open = true;
      client.pipe(backend);
      backend.pipe(client);
    });
    this.#track(client, () => backend.destroy());
    this.#track(backend, () => (open ? client.destroy() : this.#forward(client, attempts - 1)));
  }

  #track(socket: Socket, onClose: () => void): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#sockets.delete(socket);
      onClose();
    });
  }
}
