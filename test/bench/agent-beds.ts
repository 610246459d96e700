// The platform on which the agent of a bench runs: Linux, or Windows under wine. Both run JavaScript, as in the image,
// because the conversion of TypeScript takes time and memory.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from '../../images/compile.ts';
import { buildDouble } from '../support/doubles/build.ts';
import { dialProxied, loadWinsock } from '../support/doubles/winsock.ts';
import { windowsPath } from '../support/wine/bed.ts';
import { Windows } from '../support/wine/windows.ts';
import type { DialHost } from './agent-link.ts';
import { chartNodeOptions } from './chart-options.ts';

export interface BenchedAgent {
  readonly pid: number | undefined;
  /** Rejects if the agent ends without being asked to. */
  readonly failed: Promise<never>;
  /** Resolves when the agent has ended after it was asked to. */
  ended(): Promise<void>;
}

export interface AgentBed extends AsyncDisposable {
  readonly dial: DialHost;
  /** @param folder the agent's state folder @param operator its URL @param port receives the agent's events */
  start(folder: string, operator: string, port: number): Promise<BenchedAgent>;
}

const patience = 60_000;
const project = fileURLToPath(new URL('../../', import.meta.url));

export async function linuxBed(): Promise<AgentBed> {
  const program = await Program.make(join(project, 'node_modules'));
  const [computecore, winsock] = [await buildDouble('computecore'), await loadWinsock()];
  return {
    dial: winsock.dial,
    async start(folder, operator, port) {
      const parameters = [operator, folder, computecore, winsock.path, String(port)];
      const child = spawn(process.execPath, [...chartNodeOptions.split(' '), program.script, ...parameters], {
        stdio: 'inherit',
      });
      const exit = once(child, 'exit').then(([code]) => Number(code ?? 1));
      return benched(
        child.pid,
        exit.then((code) => `exit code ${code}`),
        () => child.kill('SIGKILL'),
      );
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

export async function wineBed(): Promise<AgentBed> {
  await using held = new AsyncDisposableStack();
  const windows = held.use(await Windows.start(() => process.stderr.write('another run has wine; waiting\n')));
  const program = held.use(await Program.make(join(windows.tree, 'node_modules')));
  const { computecore, winsock } = windows.libraries;
  const kept = held.move();
  return {
    dial: (runtimeId, port) => dialProxied(windows.socketFolder, runtimeId, port),
    async start(folder, operator, port) {
      const parameters = [operator, ...[folder, computecore, winsock].map(windowsPath), String(port)];
      const started = await windows.start(program.script, parameters, {
        environment: { NODE_OPTIONS: chartNodeOptions },
      });
      const exit = started.ended(0x7fff_ffff).then(async (code) => `exit code ${code}: ${await started.output()}`);
      return benched(undefined, exit, () => started.kill());
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function benched(pid: number | undefined, exit: Promise<string>, kill: () => unknown): BenchedAgent {
  const failed = exit.then((how) => {
    throw new Error(`the agent ended: ${how}`);
  });
  failed.catch(() => undefined);
  return {
    pid,
    failed,
    async ended() {
      const timer = setTimeout(kill, patience);
      await exit;
      clearTimeout(timer);
    },
  };
}

class Program implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(modules: string): Promise<Program> {
    const folder = await mkdtemp(join(tmpdir(), 'bench-program-'));
    const program = new Program(folder);
    await compile(project, ['test/bench/agent-on-doubles.ts', 'agent/windows/hvsock/pump-main.ts'], folder);
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await symlink(modules, join(folder, 'node_modules'));
    return program;
  }

  get script(): string {
    return join(this.#folder, 'test/bench/agent-on-doubles.js');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true });
  }
}
