// A server of the control plane as a child process. It ends with this process in every case: a shell beside it waits
// for the end of its standard input, which this process holds open. The child is in a separate process group, so that
// this process handles Ctrl-C.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a server may take to shut down before it is killed. An API server with watchers takes a minute. */
const gracePeriodMilliseconds = 3000;

/** The shell becomes the server, so that the server has its process id. */
const script = `
exec 3<&0
(cat <&3 >/dev/null; kill -TERM $$ && sleep 3 && kill -KILL $$) 2>/dev/null &
exec "$@" </dev/null 3<&-`;

export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #log: string;

  private constructor(child: ChildProcess, log: string) {
    this.#child = child;
    this.#log = log;
    this.#closed = once(child, 'close').catch(() => undefined);
  }

  /** `command` is the binary and its arguments; its output is appended to `log`. */
  static async start([binary, ...flags]: readonly [string, ...string[]], log: string): Promise<ServerProcess> {
    await using output = await open(log, 'a');
    const child = spawn('sh', ['-c', script, 'sh', binary, ...flags], {
      detached: true,
      stdio: ['pipe', output.fd, output.fd],
    });
    // Nothing is written to this pipe. `close` reports the end of the child, and a broken pipe does no harm.
    child.stdin?.on('error', () => undefined);
    const server = new ServerProcess(child, log);
    await once(child, 'spawn');
    return server;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Freezes the server: its connections stay open, and it answers nothing. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  async stop(): Promise<void> {
    this.resume();
    this.#child.kill('SIGTERM');
    await Promise.race([this.#closed, sleep(gracePeriodMilliseconds, undefined, { ref: false })]);
    await this.kill();
  }

  /** Throws if the server is gone. The error contains the end of its log. */
  async requireRunning(): Promise<void> {
    if (this.running) return;
    const lines = (await readFile(this.#log, 'utf8')).trimEnd().split('\n');
    throw new Error(`${basename(this.#log, '.log')} ended early:\n${lines.slice(-20).join('\n')}`);
  }
}
