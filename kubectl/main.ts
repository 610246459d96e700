#!/usr/bin/env node
// kubectl-luvm: runs as `kubectl luvm …` once the file is on the PATH.
import { Command, InvalidArgumentError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { systemClock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/error-text.ts';
import { plainLines } from '../runtime/plain-text.ts';
import { Api } from './api.ts';
import { type ClusterChoice, loadCluster } from './cluster.ts';
import { type CommandPorts, exitCodes } from './commands.ts';
import { console } from './console.ts';
import { document } from './document.ts';
import { exec } from './exec.ts';
import { logs } from './logs.ts';
import { restart } from './restart.ts';
import { status } from './status.ts';
import { processTerminal } from './terminal.ts';

type Run<Options> = (name: string, options: Options, ports: CommandPorts, rest: readonly string[]) => Promise<number>;

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

function withCluster(command: Command): Command {
  return command
    .option('-n, --namespace <name>', 'namespace of the VM (default: that of the context)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, or ~/.kube/config)');
}

function action<Options extends object>(run: Run<Options>) {
  return async (name: string, ...others: unknown[]) => {
    const command = others.at(-1);
    if (!(command instanceof Command)) throw new Error('commander did not say which command');
    const rest = command.args.slice(1);
    keepAlive();
    try {
      const options = command.optsWithGlobals<Options & ClusterChoice>();
      const ports = { api: new Api(loadCluster(options)), terminal, clock: systemClock, random: Math.random };
      leave(await run(name, options, ports, rest));
    } catch (error) {
      const message = messageOf(error);
      process.stderr.write(`error: ${plainLines(message)}\n`);
      leave(exitCodes.failed);
    }
  };
}

function lineCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new InvalidArgumentError('must be a whole number');
  return count;
}

const program = withCluster(new Command('kubectl-luvm'))
  .description('Shows logs, consoles and documents of Linux utility VMs, and runs processes in them.')
  .usage('<command> [flags]')
  .version(packageJson.version);

interface LogsFlags {
  readonly follow?: boolean;
  readonly previous?: boolean;
  readonly tail?: number;
}

withCluster(program.command('logs'))
  .description('print the log of a VM’s guest; with -f also new lines, across restarts of VM, agent and operator')
  .argument('<name>')
  .option('-f, --follow', 'also print new lines')
  .option('-p, --previous', 'print the log of the run before the latest one')
  .option(
    '--tail <lines>',
    'print only the last lines (default: all lines of the run that the node still has)',
    lineCount,
  )
  .action(
    action<LogsFlags>((name, { follow = false, previous = false, tail }, ports) =>
      logs(name, { follow, previous, ...(tail !== undefined && { tail }) }, ports),
    ),
  );

withCluster(program.command('exec'))
  .description('run a process in the guest, and end with its exit code')
  .argument('<name>')
  .argument('<command...>', 'command and arguments, after --')
  .option('-i, --stdin', 'forward standard input to the process')
  .option('-t, --tty', 'give the process a terminal with the current size of this one')
  .action(
    action<{ readonly stdin?: boolean; readonly tty?: boolean }>((name, { stdin = false, tty = false }, ports, rest) =>
      exec(name, rest, { stdin, tty }, ports),
    ),
  );

withCluster(program.command('console'))
  .description('print the output of the VM’s serial port until Ctrl-C')
  .argument('<name>')
  .action(action((name, _options, ports) => console(name, ports)));

withCluster(program.command('restart'))
  .description('restart the VM with the annotation lcow.dev/restartedAt')
  .argument('<name>')
  .action(action((name, _options, ports) => restart(name, ports)));

withCluster(program.command('status'))
  .description('summarise a VM: the phases of its boot, and its problems')
  .argument('<name>')
  .action(action((name, _options, ports) => status(name, ports)));

withCluster(program.command('document'))
  .description('print the document that the agent sent to the Host Compute Service')
  .argument('<name>')
  .option('--pretty', 'indent the output')
  .action(
    action<{ readonly pretty?: boolean }>((name, { pretty = false }, ports) => document(name, { pretty }, ports)),
  );

await program.parseAsync();
