// Starts the baseline server (`main.ts`) in its own process.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { compileCache } from '../../../support/cache-folder.ts';
import type { Identity } from '../../../support/certificates.ts';

const program = fileURLToPath(new URL('./main.ts', import.meta.url));
const listening = z.object({ port: z.number() });

export class BareServer implements AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number, port: number) {
    this.#child = child;
    this.pid = pid;
    this.port = port;
  }

  static async start({ certificate, key }: Identity): Promise<BareServer> {
    const child = fork(program, [], { env: { NODE_COMPILE_CACHE: compileCache, ...process.env } });
    await once(child, 'spawn');
    const answered = once(child, 'message');
    child.send({ cert: certificate, key });
    const [message] = await answered;
    if (child.pid === undefined) throw new Error('the bare server did not start');
    return new BareServer(child, child.pid, listening.parse(message).port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}
