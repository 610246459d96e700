// What the commands of the plugin share: kubectl's own flags, the forms of their values, and how a command is run.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ClusterChoice } from './cluster.ts';
import type { CommandPorts } from './commands.ts';
import { parseDuration } from './duration.ts';
import { type OutputFormat, outputFormats } from './output-formats.ts';
import type { Terminal } from './terminal.ts';

export interface ConnectionFlags extends ClusterChoice {
  /** Milliseconds. */
  readonly requestTimeout?: number;
  readonly v?: number;
}

/** Runs the work of a command, and ends the process with its exit code. */
export type Runner = (flags: ConnectionFlags, work: (ports: CommandPorts) => Promise<number>) => Promise<void>;

/** The same for a command that asks no cluster. */
export type LocalRunner = (work: (terminal: Terminal) => Promise<number>) => Promise<void>;

/**
 * Runs another command of the plugin at the same terminal. Resolves with whether it ended well, or as Ctrl-C asked.
 */
export type ChildRunner = (words: readonly string[]) => Promise<boolean>;

export interface SelectorFlag {
  readonly selector?: string;
}
export interface OutputFlag {
  readonly output?: OutputFormat;
}

/** kubectl's own flags, before or after the command. */
export function withConnection(command: Command): Command {
  return command
    .option('-n, --namespace <name>', 'namespace of the VM or set (default: that of the context)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--cluster <name>', 'cluster of the kubeconfig')
    .option('--user <name>', 'user of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, or ~/.kube/config)')
    .option('--as <user>', 'user to impersonate')
    .option('--as-group <group>', 'group to impersonate; can be repeated', collected)
    .option('--as-uid <uid>', 'uid to impersonate')
    .option('--request-timeout <time>', 'how long the API server may take to answer, such as 5s; 0: no limit', timeout)
    .option('-v, --v <level>', 'from level 6 on, print each request', wholeNumber);
}

export class Commands {
  readonly #program: Command;
  readonly #run: Runner;

  constructor(program: Command, run: Runner) {
    this.#program = program;
    this.#run = run;
  }

  add(name: string, description: string): Command {
    return withConnection(this.#program.command(name)).description(description);
  }

  /** A command with commands of its own. */
  group(name: string, description: string): Commands {
    return new Commands(this.add(name, description).usage('<command> [flags]'), this.#run);
  }

  /** @param work receives the arguments and all flags */
  does<Flags extends object>(
    command: Command,
    work: (given: readonly string[], flags: Flags, ports: CommandPorts) => Promise<number>,
  ): void {
    command.action(async () => {
      const flags = command.optsWithGlobals<Flags & ConnectionFlags>();
      await this.#run(flags, (ports) => work(command.args, flags, ports));
    });
  }
}

export function withSelector(command: Command, description = 'select VMs by their labels, such as app=web'): Command {
  return command.option('-l, --selector <labels>', description);
}

export function withOutput(command: Command, description = 'print the VMs for a program'): Command {
  return command.addOption(new Option('-o, --output <format>', description).choices(outputFormats));
}

export function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) throw new InvalidArgumentError('must be a whole number');
  return number;
}

export function duration(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined) throw new InvalidArgumentError('must be a duration, such as 90s or 1h30m');
  return milliseconds;
}

/** As for kubectl, a number without a unit is in seconds. */
export function timeout(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : duration(text);
}

export function time(text: string): number {
  const milliseconds = /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(milliseconds)) throw new InvalidArgumentError('must be a time, such as 2026-11-30T12:00:00Z');
  return milliseconds;
}

function collected(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
