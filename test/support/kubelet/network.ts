// A network namespace: of a pod, or of a node whose pods with `hostNetwork` share it. A bridge connects the namespaces.
// A connection from the computer, or to a Service, passes through a Unix socket and `pause.ts`.
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

/** The network of a pod's programs: what they reach, and how they are reached. */
export interface Network {
  /** The address in the API server and in EndpointSlices. */
  readonly address: string;
  /** Words before a command that enter the namespace. */
  readonly enter: readonly string[];
  dial(port: number): Promise<Socket>;
  /** Makes Services such as `10.0.0.1:443` reachable from inside. */
  serve(addresses: readonly string[]): void;
  close(): Promise<void>;
}

interface Surroundings {
  readonly wire: Wire;
  /** Short, because the path of a Unix socket has room for about 100 bytes. */
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

/**
 * The network of the computer, for programs that a namespace cannot hold: they use the computer's ports and loopback
 * addresses.
 */
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

  /** The computer listens on the addresses of Services anyway. */
  serve(): void {}

  async close(): Promise<void> {}
}
