// One program of the system as a child process, kept running as a kubelet would: when the program ends, it is started
// again after a moment. Its output goes to a log file. It is in a separate process group, so that the playground
// handles Ctrl-C.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compileCache } from '../../test/support/cache-folder.ts';

const restartDelay = 1_000;
const stopPatience = 10_000;
const exitWithParent = fileURLToPath(new URL('./exit-with-parent.ts', import.meta.url));

export interface Program {
  readonly name: string;
  /** A TypeScript file of the project. */
  readonly script: string;
  readonly arguments: readonly string[];
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[];
  /** Modules that are loaded before the script. */
  readonly preloaded?: readonly string[];
  readonly logFile: string;
}

export type ProcessEvent =
  | { readonly kind: 'ended'; readonly program: string; readonly how: string; readonly restarting: boolean }
  | { readonly kind: 'restarted'; readonly program: string; readonly pid: number };

export class ManagedProcess {
  readonly program: Program;
  readonly #onEvent: (event: ProcessEvent) => void;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #wanted = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(program: Program, onEvent: (event: ProcessEvent) => void = () => {}) {
    this.program = program;
    this.#onEvent = onEvent;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The command that runs the same program by hand, for users who want to replace it. */
  get commandLine(): string {
    return ['node', this.program.script, ...this.program.arguments].map(quoted).join(' ');
  }

  async start(): Promise<void> {
    this.#wanted = true;
    await using output = await open(this.program.logFile, 'a');
    const { nodeFlags = [], preloaded = [], script } = this.program;
    const imports = [exitWithParent, ...preloaded].flatMap((file) => ['--import', file]);
    const child = spawn(process.execPath, [...nodeFlags, ...imports, script, ...this.program.arguments], {
      detached: true,
      stdio: ['pipe', output.fd, output.fd],
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env },
    });
    child.stdin?.on('error', () => undefined);
    await once(child, 'spawn');
    this.#child = child;
    this.#ended = once(child, 'exit').then(([code, signal]) => this.#onExit(signal ?? `code ${code}`));
  }

  /** Ends the program and does not start it again. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restart);
    const killer = setTimeout(() => this.#child?.kill('SIGKILL'), stopPatience);
    this.#child?.kill(signal);
    await this.#ended;
    clearTimeout(killer);
  }

  /** Kills the program. It starts again unless it was stopped. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  #onExit(how: string): void {
    this.#child = undefined;
    this.#onEvent({ kind: 'ended', program: this.program.name, how, restarting: this.#wanted });
    if (!this.#wanted) return;
    this.#restart = setTimeout(() => {
      this.start().then(() => {
        if (this.pid !== undefined) this.#onEvent({ kind: 'restarted', program: this.program.name, pid: this.pid });
      });
    }, restartDelay);
  }
}

function quoted(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word}'`;
}
