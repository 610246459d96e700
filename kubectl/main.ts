#!/usr/bin/env node
// kubectl-luvm: runs as `kubectl luvm …` once the program is on the PATH. The packaged program is one CommonJS script,
// so nothing here awaits at the top level.
import { basename } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { systemClock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/error-text.ts';
import { plainLines } from '../runtime/plain-text.ts';
import type { ConnectionFlags } from './command-line.ts';
import { type CommandPorts, exitCodes } from './commands.ts';
import { flagWords } from './flag-words.ts';
import { createProgram } from './program.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const terminal = processTerminal();
// A reader of our output may close it early, as `head` does.
process.stdout.on('error', () => leave(exitCodes.ok));
process.stderr.on('error', () => undefined);

/** Exits after pending output is written. */
function leave(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

/**
 * Keeps the process alive until the command ends. A command that waits for an operator to return has only timers open,
 * and our clock's timers do not keep a process alive.
 */
function keepAlive(): void {
  setInterval(() => undefined, 0x7fff_ffff);
}

/** kubectl prints requests from this level on. */
const requestsLevel = 6;

async function portsFor(flags: ConnectionFlags): Promise<CommandPorts> {
  const [{ Api }, { loadCluster }] = await Promise.all([import('./api.ts'), import('./cluster.ts')]);
  const { requestTimeout, v = 0 } = flags;
  const api = new Api(loadCluster(flags), {
    ...(requestTimeout !== undefined && { timeoutMilliseconds: requestTimeout }),
    ...(v >= requestsLevel && { trace: (line) => process.stderr.write(`${plainLines(line)}\n`) }),
  });
  return { api, terminal, clock: systemClock, random: Math.random };
}

async function run(flags: ConnectionFlags, work: (ports: CommandPorts) => Promise<number>): Promise<void> {
  keepAlive();
  try {
    leave(await work(await portsFor(flags)));
  } catch (error) {
    fail(error);
  }
}

async function runLocally(work: (terminal: Terminal) => Promise<number>): Promise<void> {
  try {
    leave(await work(terminal));
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): void {
  process.stderr.write(`error: ${plainLines(messageOf(error))}\n`);
  leave(exitCodes.failed);
}

const program = createProgram(
  packageJson.version,
  run,
  runLocally,
  (version) => process.stdout.write(`${version}\n`),
  (flags) => async (words) => await (await import('./child.ts')).runChild(flags, words),
);
const words = process.argv.slice(2);

async function completeWords(given: readonly string[]): Promise<void> {
  keepAlive();
  const [{ complete }, { completionSources }] = await Promise.all([
    import('./complete.ts'),
    import('./completion-sources.ts'),
  ]);
  const lines = await complete(program, given, completionSources(systemClock));
  process.stdout.write(`${lines.map(plainLines).join('\n')}\n`);
  leave(exitCodes.ok);
}

/** On Windows the same program completes under the name that kubectl looks for. */
const isCompleter = basename(process.execPath).startsWith('kubectl_complete-luvm');
if (isCompleter) completeWords(words).catch(fail);
else if (words[0] === '__complete') completeWords(words.slice(1)).catch(fail);
else program.parseAsync(flagWords(words), { from: 'user' }).catch(fail);
