// An HCS in a separate process for agents under wine: a simulated node on the Linux side, whose VMs and guests outlive
// the agents. Its socket is reached through a loopback port, because wine has no Unix sockets. Its guests connect like
// the other guests under wine.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SimulatedHostControl } from '../../../simulator/client/control.ts';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { runSimulatedHost } from '../../../simulator/service/service.ts';
import type { SystemDetail } from '../../../simulator/wire/rpc.ts';
import { dialAsGuest } from '../doubles/winsock.ts';

const timing = { bootMilliseconds: 20, initMilliseconds: 5, logIntervalMilliseconds: 200 };

export class HcsService implements AsyncDisposable {
  readonly #control: SimulatedHostControl;
  readonly #server: Server;
  readonly #held: AsyncDisposableStack;

  private constructor(control: SimulatedHostControl, server: Server, held: AsyncDisposableStack) {
    this.#control = control;
    this.#server = server;
    this.#held = held;
  }

  /**
   * @param guestFolder the folder of the guests' sockets, as a Linux path
   * @param files the files that VMs boot from: Windows path → size
   */
  static async start(guestFolder: string, files: Readonly<Record<string, number>>): Promise<HcsService> {
    await using held = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'hcs-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    const socketPath = join(folder, 'hcs');
    const running = await runSimulatedHost({
      socketPath,
      host: simulatedHostFile.parse({ build: 26100, logicalProcessors: 2, files, timing }),
      stateDirectory: join(folder, 'state'),
      dial: (vm, port) => dialAsGuest(guestFolder, vm, port),
    });
    held.defer(() => running.close());
    const control = await SimulatedHostControl.connect(socketPath);
    held.defer(() => control.close());
    const clients = new Set<Socket>();
    const server = createServer((client) => {
      clients.add(client);
      client.once('close', () => clients.delete(client));
      tie(client, connect(socketPath));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    held.defer(async () => {
      for (const client of clients) client.destroy();
      server.close();
      await once(server, 'close');
    });
    return new HcsService(control, server, held.move());
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  system(id: string): Promise<SystemDetail | undefined> {
    return this.#control.system(id);
  }

  systems(): Promise<readonly SystemDetail[]> {
    return this.#control.systems();
  }

  async crash(id: string): Promise<void> {
    await this.#control.endGuest(id, 'crash');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }
}

/** Each end closes when the other does. */
function tie(client: Socket, service: Socket): void {
  for (const [from, to] of [
    [client, service],
    [service, client],
  ] as const) {
    from.setNoDelay(true);
    from.on('error', () => {});
    from.once('close', () => to.destroy());
    from.pipe(to);
  }
}
