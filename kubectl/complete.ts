// Completion by kubectl: for `kubectl luvm …<Tab>` it runs `kubectl_complete-luvm` with the words so far, the last of
// which is incomplete. The answer has a candidate per line, with a description after a tab, and a last line for the
// shell: `:4` offers no file names, `:0` offers them. What cannot be found out completes to nothing.
import type { Command, Option } from 'commander';

export interface CompletionSources {
  /** The flags before the incomplete word decide which cluster and namespace are asked. */
  machines(flags: CompletedFlags): Promise<readonly string[]>;
  sets(flags: CompletedFlags): Promise<readonly string[]>;
  namespaces(flags: CompletedFlags): Promise<readonly string[]>;
  kubeconfig(kind: 'contexts' | 'clusters' | 'users', flags: CompletedFlags): Promise<readonly string[]>;
}

/** Values by the name of the flag, as commander names it. */
export type CompletedFlags = Readonly<Record<string, string>>;

interface Candidate {
  readonly value: string;
  readonly description?: string | undefined;
}

interface Completion {
  readonly candidates: readonly Candidate[];
  readonly offersFiles?: boolean;
}

const nothing: Completion = { candidates: [] };

/** The lines to print. */
export async function complete(
  program: Command,
  words: readonly string[],
  sources: CompletionSources,
): Promise<readonly string[]> {
  const word = words.at(-1) ?? '';
  const line = new Line(program, words.slice(0, -1));
  const { candidates, offersFiles = false } = await candidatesFor(line, word, sources).catch(() => nothing);
  const fitting = candidates.filter(({ value }) => value.startsWith(word));
  return [
    ...fitting.map(({ description, value }) => (description === undefined ? value : `${value}\t${description}`)),
    offersFiles ? ':0' : ':4',
  ];
}

/** The complete words of a command line. */
class Line {
  readonly program: Command;
  command: Command;
  readonly arguments: string[] = [];
  readonly flags: Record<string, string> = {};
  /** The flag whose value comes next. */
  open: Option | undefined;
  /** Behind `--` the words are those of another program. */
  isBehindDashes = false;

  constructor(program: Command, words: readonly string[]) {
    this.program = program;
    this.command = program;
    for (const word of words) this.#take(word);
  }

  #take(word: string): void {
    if (this.isBehindDashes) return;
    if (this.open !== undefined) {
      this.flags[this.open.attributeName()] = word;
      this.open = undefined;
    } else if (word === '--') this.isBehindDashes = true;
    else if (word.startsWith('-')) this.#takeFlag(word);
    else this.#takeArgument(word);
  }

  #takeFlag(word: string): void {
    const { option, value } = flagOf(this, word);
    if (option === undefined) return;
    if (value !== undefined) this.flags[option.attributeName()] = value;
    else if (option.required) this.open = option;
  }

  #takeArgument(word: string): void {
    const found = this.arguments.length === 0 ? subcommand(this.command, word) : undefined;
    if (found === undefined) this.arguments.push(word);
    else this.command = found;
  }
}

function subcommand(command: Command, word: string): Command | undefined {
  return command.commands.find((each) => each.name() === word);
}

function optionsOf({ command, program }: Line): readonly Option[] {
  const own = command === program ? [] : command.options;
  return [...own, ...program.options.filter(({ long }) => own.every((each) => each.long !== long))];
}

function flagOf(line: Line, word: string): { readonly option: Option | undefined; readonly value: string | undefined } {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const option = optionsOf(line).find(({ long, short }) => name === long || name === short);
  return { option, value: equals < 0 ? undefined : word.slice(equals + 1) };
}

async function candidatesFor(line: Line, word: string, sources: CompletionSources): Promise<Completion> {
  const { command, flags, isBehindDashes, open } = line;
  if (isBehindDashes) return nothing;
  if (open !== undefined) return await valuesOf(open, flags, sources);
  if (word.startsWith('-')) return await flagCandidates(line, word, sources);
  if (command.commands.length === 0) return await argumentCandidates(line, word, sources);
  if (line.arguments.length > 0) return nothing;
  return { candidates: command.commands.map((each) => ({ value: each.name(), description: each.description() })) };
}

async function flagCandidates(line: Line, word: string, sources: CompletionSources): Promise<Completion> {
  const { option, value } = flagOf(line, word);
  if (option !== undefined && value !== undefined) {
    const { candidates, ...rest } = await valuesOf(option, line.flags, sources);
    const start = word.slice(0, word.length - value.length);
    return { ...rest, candidates: candidates.map((each) => ({ ...each, value: `${start}${each.value}` })) };
  }
  const options = optionsOf(line);
  return {
    candidates: options.flatMap(({ description, hidden, long }) =>
      long == null || hidden ? [] : [{ value: long, description }],
    ),
  };
}

async function valuesOf(
  option: Option,
  flags: CompletedFlags,
  { kubeconfig, namespaces }: CompletionSources,
): Promise<Completion> {
  const plain = (values: readonly string[]) => ({ candidates: values.map((value) => ({ value })) });
  if (option.argChoices !== undefined) return plain(option.argChoices);
  switch (option.attributeName()) {
    case 'namespace':
      return plain(await namespaces(flags));
    case 'context':
      return plain(await kubeconfig('contexts', flags));
    case 'cluster':
      return plain(await kubeconfig('clusters', flags));
    case 'user':
      return plain(await kubeconfig('users', flags));
    case 'file':
    case 'filename':
    case 'kubeconfig':
      return { candidates: [], offersFiles: true };
    default:
      return nothing;
  }
}

async function argumentCandidates(line: Line, word: string, sources: CompletionSources): Promise<Completion> {
  const { registeredArguments } = line.command;
  const wanted = registeredArguments[Math.min(line.arguments.length, registeredArguments.length - 1)];
  // Both places of a copy can be here, or in a guest.
  if (/^(?:from|to)$/.test(wanted?.name() ?? '')) {
    const guests = await sources.machines(line.flags).catch(() => []);
    return { candidates: guests.map((name) => ({ value: `${name}:` })), offersFiles: true };
  }
  const isTaken = line.arguments.length >= registeredArguments.length && wanted?.variadic !== true;
  if (wanted === undefined || isTaken || !/^(?:names?|sets?)$/.test(wanted.name())) return nothing;
  const type = word.slice(0, word.indexOf('/') + 1);
  const names = await (wanted.name().startsWith('set') ? sources.sets(line.flags) : sources.machines(line.flags));
  const free = names.map((name) => `${type}${name}`).filter((name) => !line.arguments.includes(name));
  return { candidates: free.map((value) => ({ value })) };
}
