// The serial port of a simulated guest whose document names a pipe: a Unix socket of the node stands in for the pipe. A
// terminal is on the other side, as on many real VMs: whoever connects sees who the user is.
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';

/** The kernel's limit for the path of a Unix socket is 108 bytes. */
export function simulatedConsolePath(nodeSocket: string, pipe: string): string {
  const short = createHash('sha256').update(pipe.toLowerCase()).digest('hex').slice(0, 12);
  return join(`${nodeSocket}.con`, short);
}

export class SimulatedConsole {
  readonly #server: Server;
  readonly #readers = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#readers.add(socket);
      socket.resume();
      socket.on('error', () => undefined);
      socket.once('close', () => this.#readers.delete(socket));
      socket.write('\r\nsimulated Linux ttyS0\r\n\r\nlogin: ');
    });
  }

  static async open(path: string): Promise<SimulatedConsole> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rm(path, { force: true });
    const console = new SimulatedConsole();
    await new Promise<void>((resolve, reject) => {
      console.#server.once('error', reject);
      console.#server.listen(path, () => resolve());
    });
    return console;
  }

  /** The VM is gone, and with it its end of the pipe. */
  close(): void {
    this.#server.close();
    for (const reader of this.#readers) reader.destroy();
  }
}
