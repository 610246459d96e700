// A TCP relay that can go silent: both connections stay open, but no data passes, as behind a firewall that dropped its
// state or a load balancer whose backend is gone. Later connections work.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Relay implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => this.#join(near, connect(target, '127.0.0.1')));
  }

  static async open(target: number): Promise<Relay> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Relay(server, target);
  }

  /** Number of connections, silent ones included. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Silences all existing connections. Neither side is notified. */
  silence(): void {
    for (const [near, far] of this.#pairs) {
      near.unpipe(far);
      far.unpipe(near);
      for (const socket of [near, far]) socket.removeAllListeners('close').resume();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.#pairs].flat()) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket, far: Socket): void {
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [socket, other] of [pair, [far, near] as const]) {
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
      socket.pipe(other);
    }
  }
}
