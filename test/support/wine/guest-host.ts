// Plays the guests of an agent's VMs under wine, on the Linux side: each running system of the computecore.dll double
// gets a guest that connects to the agent's Hyper-V sockets, and when a guest ends on its own, the double is told.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { RuntimeId } from '../../../agent/node/backend.ts';
import { hresult } from '../../../agent/node/hcs-error.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { sealedBoot } from '../../../simulator/guest/boot-command.ts';
import { DiskFiles } from '../../../simulator/guest/filesystem.ts';
import { SimulatedGuest } from '../../../simulator/guest/guest.ts';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { type GuestEnd, Script } from '../../../simulator/wire/script.ts';
import { dialAsGuest } from '../doubles/winsock.ts';
import { type DoubleState, doubleState, type GuestExit } from './guest-protocol.ts';

const { timing } = simulatedHostFile.parse({
  build: 26100,
  logicalProcessors: 2,
  timing: { bootMilliseconds: 20, initMilliseconds: 5, logIntervalMilliseconds: 200 },
});

const exits: Readonly<Record<GuestEnd, Omit<GuestExit, 'system'>>> = {
  powerOff: { exitType: 'GracefulExit', status: 0 },
  crash: { exitType: 'UnexpectedExit', status: hresult.unexpectedExit | 0 },
  panic: { exitType: 'UnexpectedExit', status: hresult.unexpectedExit | 0 },
};

export class GuestHost implements AsyncDisposable {
  readonly #server: Server;
  readonly #socketFolder: string;
  readonly #guests = new Map<string, SimulatedGuest>();
  #agent: Socket | undefined;
  #state: DoubleState | undefined;

  private constructor(socketFolder: string) {
    this.#socketFolder = socketFolder;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** @param socketFolder the folder of the sockets, as a Linux path */
  static async listen(socketFolder: string): Promise<GuestHost> {
    const host = new GuestHost(socketFolder);
    host.#server.listen(0, '127.0.0.1');
    await once(host.#server, 'listening');
    return host;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The state of the connected agent's double; undefined when no agent is connected. */
  get state(): DoubleState | undefined {
    return this.#state;
  }

  guest(system: string): SimulatedGuest | undefined {
    return this.#guests.get(system);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endAll();
    this.#agent?.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#agent?.destroy();
    this.#agent = socket;
    socket.on('error', () => {});
    // The double is part of the agent's process, so its systems end with it.
    socket.once('close', () => {
      if (this.#agent === socket) this.#endAll();
    });
    createInterface(socket).on('line', (line) => this.#follow(doubleState.parse(JSON.parse(line))));
  }

  #endAll(): void {
    this.#agent = undefined;
    this.#state = undefined;
    for (const guest of this.#guests.values()) guest.kill();
    this.#guests.clear();
  }

  #follow(state: DoubleState): void {
    this.#state = state;
    const running = new Map(state.systems.filter((each) => each.state === 'Running').map((each) => [each.id, each]));
    for (const [id, guest] of this.#guests) {
      if (running.has(id)) continue;
      guest.kill();
      this.#guests.delete(id);
    }
    for (const { id, runtimeId } of running.values()) if (!this.#guests.has(id)) this.#boot(id, runtimeId as RuntimeId);
  }

  #boot(systemId: string, runtimeId: RuntimeId): void {
    const guest = new SimulatedGuest({
      systemId,
      // The double keeps no document with a command line, so the guest uses the default one.
      boot: sealedBoot,
      dial: (port) => dialAsGuest(this.#socketFolder, runtimeId, port),
      clock: systemClock,
      timing,
      script: new Script(systemClock, []),
      disks: { isAttached: () => false, files: () => new DiskFiles(), share: () => undefined },
      onEnd: (how) => this.#agent?.write(`${JSON.stringify({ system: systemId, ...exits[how] })}\n`),
    });
    this.#guests.set(systemId, guest);
    guest.start();
  }
}
