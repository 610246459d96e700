// Reads from the kernel command line what a guest does, as the kernel, `/init` and `vsockexec` do (hcs-runtime F.1 to
// F.3). What the kernel does not read is not there.
import { initArgumentsMaximum, initWords, kernelCommandLineBytes } from '../../agent/document/kernel-words.ts';
import { beginningInBytes } from '../../runtime/beginning.ts';

export interface GuestBoot {
  /** Absent = the guest does not ask for entropy. */
  readonly entropyPort?: number;
  /** Absent = the guest's log is discarded. */
  readonly logPort?: number;
  /** `vsockexec -r`: the guest reconnects its log indefinitely. */
  readonly relaysLog: boolean;
  /** The command runs beside a shell: the VM does not end with it. */
  readonly isInBackground: boolean;
  readonly runsGuestService: boolean;
  /** Why kernel, init or vsockexec fails at once. */
  readonly fatal?: string;
  /** The guest powers itself off this long after it came up. Real kernels ignore the parameter. */
  readonly powerOffAfterMilliseconds?: number;
}

/** The command line of a confidential guest is sealed in its image (hcs-documents §7.2). */
export const sealedBoot: GuestBoot = {
  entropyPort: 1,
  logPort: 109,
  relaysLog: false,
  isInBackground: false,
  runsGuestService: true,
};

const idleBoot: GuestBoot = { relaysLog: false, isInBackground: false, runsGuestService: false };

export function readBootCommand(whole: string): GuestBoot {
  const commandLine = beginningInBytes(whole, kernelCommandLineBytes);
  const powerOff = /(?:^| )simulated_guest\.poweroff_after_ms=(\d{1,7})(?: |$)/.exec(commandLine)?.[1];
  const boot = readInit(commandLine);
  return powerOff === undefined ? boot : { ...boot, powerOffAfterMilliseconds: Number(powerOff) };
}

function readInit(commandLine: string): GuestBoot {
  const given = initWords(commandLine);
  if (given.length === 0) return { ...idleBoot, runsGuestService: true };
  if (given.length > initArgumentsMaximum) return { ...idleBoot, fatal: 'kernel: Too many boot init vars' };
  const init = readOptions(given, new Set(['-e', '-d']));
  const entropy = readPort(init.values.get('-e'));
  if (entropy === 'invalid') return { ...idleBoot, fatal: 'init: invalid entropy port' };
  const command = readCommand(init.rest);
  return entropy === undefined ? command : { ...command, entropyPort: entropy };
}

function readCommand(rest: readonly string[]): GuestBoot {
  const shell = rest[0] === 'sh' && rest[1] === '-c' ? rest[2] : undefined;
  if (shell === undefined)
    return isMissing(rest[0]) ? { ...idleBoot, fatal: 'init: no such program' } : readProgram(rest);
  return { ...readProgram(words(shell.split(' & ')[0] ?? '')), isInBackground: true };
}

/** A kernel parameter that has become an argument of init is the name of no program. */
function isMissing(program: string | undefined): boolean {
  return program !== undefined && !program.includes('/') && program !== 'sh';
}

function readProgram(program: readonly string[]): GuestBoot {
  if (program[0]?.endsWith('/vsockexec') !== true) return { ...idleBoot, runsGuestService: isGuestService(program) };
  const { flags, values, rest } = readOptions(program.slice(1), new Set(['-i', '-o', '-e']));
  const ports = ['-e', '-o'].map((name) => readPort(values.get(name)));
  const relaysLog = flags.has('-r');
  if (rest.length === 0 || ports.includes('invalid')) return { ...idleBoot, fatal: 'vsockexec: usage' };
  const logPort = ports.find((port) => typeof port === 'number');
  if (relaysLog && logPort === undefined) return { ...idleBoot, fatal: 'vsockexec: -r needs -o or -e' };
  const boot = { ...idleBoot, relaysLog, runsGuestService: isGuestService(rest) };
  return typeof logPort === 'number' ? { ...boot, logPort } : boot;
}

function isGuestService(program: readonly string[]): boolean {
  return program[0]?.endsWith('/gcs') === true;
}

interface Options {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

/** Reads options up to the first other word; `--` ends them. */
function readOptions(all: readonly string[], withValue: ReadonlySet<string>): Options {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let index = 0;
  for (let word = all[index]; word?.startsWith('-') === true; word = all[index]) {
    index += 1;
    if (word === '--') break;
    if (withValue.has(word)) {
      values.set(word, all[index] ?? '');
      index += 1;
    } else {
      flags.add(word);
    }
  }
  return { flags, values, rest: all.slice(index) };
}

function readPort(text: string | undefined): number | 'invalid' | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port < 2 ** 32 ? port : 'invalid';
}

/** Splits at spaces like a shell: double quotes keep spaces together. */
function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|\S+/g)].map((match) => match[1] ?? match[0]);
}
