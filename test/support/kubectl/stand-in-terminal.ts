// A simulated terminal and its user.
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../../../kubectl/api.ts';
import { loadCluster } from '../../../kubectl/cluster.ts';
import type { CommandPorts } from '../../../kubectl/commands.ts';
import type { Terminal } from '../../../kubectl/terminal.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { plainLines } from '../../../runtime/plain-text.ts';

/** Long enough for two busy cores. */
const patienceMilliseconds = 30_000;

export class StandInTerminal implements Terminal {
  readonly input = new PassThrough();
  readonly output = new PassThrough();
  readonly errors = new PassThrough();
  readonly size: Terminal['size'];
  readonly outputIsTerminal: boolean;
  /** The requested raw modes of the keyboard. */
  readonly rawModes: boolean[] = [];
  stdout = '';
  stderr = '';
  #interrupt: (() => void) | undefined;
  #resize: (() => void) | undefined;

  constructor(size?: Terminal['size'], outputIsTerminal = size !== undefined) {
    this.size = size;
    this.outputIsTerminal = outputIsTerminal;
    this.output.on('data', (bytes: Buffer) => {
      this.stdout += bytes.toString('utf8');
    });
    this.errors.on('data', (bytes: Buffer) => {
      this.stderr += bytes.toString('utf8');
    });
  }

  get lines(): readonly string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  raw(isRaw: boolean): void {
    this.rawModes.push(isRaw);
  }

  onInterrupt(listener: () => void): () => void {
    this.#interrupt = listener;
    return () => undefined;
  }

  onKill(): () => void {
    return () => undefined;
  }

  onResize(listener: () => void): () => void {
    this.#resize = listener;
    return () => undefined;
  }

  /** Waits until the command has its stream: earlier it would retry a failure. */
  async untilStreaming(): Promise<void> {
    await this.until('somebody listens to Ctrl-C', () => this.#interrupt !== undefined);
  }

  /** Presses Ctrl-C as soon as the command listens for it. */
  async interrupt(): Promise<void> {
    await this.untilStreaming();
    this.#interrupt?.();
  }

  async resize(): Promise<void> {
    await this.until('somebody listens to the size', () => this.#resize !== undefined);
    this.#resize?.();
  }

  async until(what: string, holds: (terminal: this) => boolean): Promise<void> {
    const deadline = Date.now() + patienceMilliseconds;
    while (!holds(this)) {
      if (Date.now() > deadline) {
        const seen = `stdout: ${this.stdout.slice(-500)}; stderr: ${this.stderr.slice(-500)}`;
        throw new Error(`not within ${patienceMilliseconds / 1000} s: ${what}; ${seen}`);
      }
      await sleep(10);
    }
  }
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command at such a terminal. A failure is printed as the program prints it. */
export async function runAt(
  terminal: StandInTerminal,
  kubeconfig: string,
  command: (ports: CommandPorts) => Promise<number>,
  clock: Clock = systemClock,
): Promise<Outcome> {
  const api = new Api(loadCluster({ kubeconfig }));
  const code = await command({ api, terminal, clock, random: Math.random }).catch((error: Error) => {
    terminal.errors.write(`error: ${plainLines(error.message)}\n`);
    return 1;
  });
  await Promise.all([terminal.output, terminal.errors].map((stream) => finished(stream.end()).catch(() => undefined)));
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}
