// A network namespace: of a pod, or of a node, whose pods with `hostNetwork` share it. Nothing is routed. What comes in or
// goes out is a connection that `pause.ts` passes through a Unix socket.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { Server, Socket } from 'node:net';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dialLine, serveLines } from './sockets.ts';

const pause = fileURLToPath(new URL('./pause.ts', import.meta.url));
/** Without root a user namespace gives the right to make the others. */
const isRoot = process.getuid?.() === 0;

export type Connect = (address: string, socket: Socket) => void;

export class Network {
  /** As the API server and EndpointSlices know it; no packet ever carries it. */
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #inward: string;
  readonly #outside: Server;

  private constructor(address: string, child: ChildProcess, inward: string, outside: Server) {
    this.address = address;
    this.#child = child;
    this.#inward = inward;
    this.#outside = outside;
  }

  /** `directory` is short: the path of a Unix socket has room for about 100 bytes. */
  static async open(address: string, directory: string, connect: Connect): Promise<Network> {
    await mkdir(directory, { recursive: true });
    const [inward, outward] = [joinPath(directory, 'in'), joinPath(directory, 'out')];
    const outside = await serveLines(outward, connect);
    const unshare = isRoot ? ['--net'] : ['--user', '--map-root-user', '--net'];
    const script = 'ip link set lo up && exec "$@"';
    const command = [...unshare, 'sh', '-c', script, 'sh', process.execPath, pause, inward, outward];
    const child = spawn('unshare', command, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const ended = once(child, 'exit').then(() => {
      throw new Error('a network namespace cannot be made: it takes root or user namespaces, and iproute2');
    });
    await Promise.race([once(child, 'message'), ended]);
    ended.catch(() => {});
    return new Network(address, child, inward, outside);
  }

  /** Words to put before a command that shall run inside. */
  get enter(): readonly string[] {
    const pid = String(this.#child.pid);
    return ['nsenter', '--target', pid, '--net', ...(isRoot ? [] : ['--user', '--preserve-credentials'])];
  }

  dial(port: number): Promise<Socket> {
    return dialLine(this.#inward, String(port));
  }

  /** `10.0.0.1:443` … of the Services that can be reached from inside. */
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
