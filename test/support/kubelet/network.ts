// A network namespace: of a pod, or of a node, whose pods with `hostNetwork` share it. A wire connects them with each other.
// What comes in from the machine, or goes out to Services, is a connection that `pause.ts` passes through a Unix socket.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect as connectTcp, type Server, type Socket } from 'node:net';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dialLine, serveLines } from './sockets.ts';
import type { Wire } from './wire.ts';

const pause = fileURLToPath(new URL('./pause.ts', import.meta.url));

export type Connect = (address: string, socket: Socket) => void;

/** What programs of a pod find at their addresses, and how they are found. */
export interface Network {
  /** As the API server and EndpointSlices know it. */
  readonly address: string;
  /** Words to put before a command that shall run inside. */
  readonly enter: readonly string[];
  dial(port: number): Promise<Socket>;
  /** `10.0.0.1:443` … of the Services that can be reached from inside. */
  serve(addresses: readonly string[]): void;
  close(): Promise<void>;
}

interface Surroundings {
  readonly wire: Wire;
  /** It is short: the path of a Unix socket has room for about 100 bytes. */
  readonly directory: string;
  readonly connect: Connect;
}

export class NamespaceNetwork implements Network {
  readonly address: string;
  readonly enter: readonly string[];
  readonly #child: ChildProcess;
  readonly #inward: string;
  readonly #outside: Server;

  private constructor(
    { address, enter }: Pick<Network, 'address' | 'enter'>,
    child: ChildProcess,
    inward: string,
    outside: Server,
  ) {
    this.address = address;
    this.enter = enter;
    this.#child = child;
    this.#inward = inward;
    this.#outside = outside;
  }

  static async open(address: string, { connect, directory, wire }: Surroundings): Promise<NamespaceNetwork> {
    await mkdir(directory, { recursive: true });
    const [inward, outward] = [joinPath(directory, 'in'), joinPath(directory, 'out')];
    const outside = await serveLines(outward, connect);
    const script = 'ip link set lo up && exec "$@"';
    const [program = '', ...words] = wire.makeNamespace;
    const command = [...words, 'sh', '-c', script, 'sh', process.execPath, pause, inward, outward];
    const child = spawn(program, command, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const ended = once(child, 'exit').then(() => {
      throw new Error('a network namespace cannot be made');
    });
    await Promise.race([once(child, 'message'), ended]);
    ended.catch(() => {});
    const pid = child.pid ?? 0;
    await wire.plugIn(pid, address).catch((error: unknown) => {
      child.kill('SIGKILL');
      outside.close();
      throw error;
    });
    return new NamespaceNetwork({ address, enter: wire.enter(pid) }, child, inward, outside);
  }

  dial(port: number): Promise<Socket> {
    return dialLine(this.#inward, String(port));
  }

  serve(addresses: readonly string[]): void {
    if (this.#child.connected) this.#child.send({ listen: addresses });
  }

  async close(): Promise<void> {
    this.#outside.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** That of the machine, for programs that a namespace cannot hold: theirs are the machine's ports and loopback addresses. */
export class MachineNetwork implements Network {
  readonly address: string;
  readonly enter = [];

  constructor(address: string) {
    this.address = address;
  }

  async dial(port: number): Promise<Socket> {
    const socket = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  /** The machine listens on the addresses of Services anyway. */
  serve(): void {}

  async close(): Promise<void> {}
}
