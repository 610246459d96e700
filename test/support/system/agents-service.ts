// Acts like the agents' Service: one address for all replicas of the operator. A connection goes to any replica that is
// ready according to the last probe.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface Backend {
  readonly agentsPort: number;
  readonly healthPort: number;
}

/** Milliseconds. Slower than a fast test needs, faster than the chart's default. */
const probe = { period: 2_000, timeout: 1_000 } as const;
const probeFailures = 2;

export class AgentsService {
  readonly #failures = new Map<Backend, number>();
  readonly #probes: NodeJS.Timeout;
  #backends: readonly Backend[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next = 0;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#forward(socket, this.#ready.length));
    this.#probes = setInterval(() => this.#probe(), probe.period);
  }

  serve(backends: readonly Backend[]): void {
    this.#backends = backends;
  }

  get #ready(): readonly Backend[] {
    return this.#backends.filter((backend) => (this.#failures.get(backend) ?? 0) < probeFailures);
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
    clearInterval(this.#probes);
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #probe(): void {
    for (const backend of this.#backends) {
      fetch(`http://127.0.0.1:${backend.healthPort}/readyz`, { signal: AbortSignal.timeout(probe.timeout) }).then(
        ({ ok }) => this.#failures.set(backend, ok ? 0 : (this.#failures.get(backend) ?? 0) + 1),
        () => this.#failures.set(backend, (this.#failures.get(backend) ?? 0) + 1),
      );
    }
  }

  #forward(client: Socket, attempts: number): void {
    const ready = this.#ready;
    const port = ready[this.#next % Math.max(1, ready.length)]?.agentsPort;
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
