// The parameters for starting a process in the VM (hcs-runtime E.6, ExecuteProcess). Members are written in the
// original's order and left out when empty.
import { encodeInnerJson } from './frames.ts';

export interface GuestCommand {
  readonly args: readonly string[];
  /** The guest splits this as a shell would. The arguments are then not sent. */
  readonly commandLine?: string;
  /** `/` when absent. */
  readonly workingDirectory?: string;
  /** `NAME=value`. As in the original, entries without a value are dropped, and the last of equal names wins. */
  readonly environment?: readonly string[];
  /** A Linux guest ignores it. */
  readonly user?: string;
  /** All data then flows over stdin and stdout. A Linux guest ignores the size. */
  readonly terminal?: { readonly height?: number; readonly width?: number };
}

/** The ports on which this host listens for the requested streams. */
export interface StdioPorts {
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
}

export const defaultEnvironment: readonly string[] = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
];

export function executeSettings(command: GuestCommand, ports: StdioPorts): object {
  return {
    ProcessParameters: encodeInnerMembers(parametersOf(command, ports)),
    VsockStdioRelaySettings: { StdIn: ports.stdin, StdOut: ports.stdout, StdErr: ports.stderr },
  };
}

type Parameters = readonly (readonly [name: string, value: unknown])[];

function parametersOf(command: GuestCommand, ports: StdioPorts): Parameters {
  const { args, commandLine = '', terminal, user, workingDirectory = '/' } = command;
  return [
    ['CommandLine', commandLine],
    ['CommandArgs', commandLine === '' ? args : []],
    ['User', user],
    ['WorkingDirectory', workingDirectory],
    ['Environment', environmentOf(command.environment ?? defaultEnvironment)],
    ['EmulateConsole', terminal !== undefined],
    ['CreateStdInPipe', ports.stdin !== undefined],
    ['CreateStdOutPipe', ports.stdout !== undefined],
    ['CreateStdErrPipe', ports.stderr !== undefined],
    ['ConsoleSize', terminal?.height === undefined ? undefined : [terminal.height, terminal.width ?? 0]],
  ];
}

function environmentOf(entries: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    if (equals >= 0 && equals < entry.length - 1) values.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return new Map([...values].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other))));
}

/** The object as text. A JavaScript object would put names that are numbers before all others. */
function encodeInnerMembers(members: Parameters): string {
  const written = members
    .filter(([, value]) => hasValue(value))
    .map(([name, value]) => {
      const text = value instanceof Map ? encodeInnerMembers([...value]) : encodeInnerJson(value);
      return `${encodeInnerJson(name)}:${text}`;
    });
  return `{${written.join(',')}}`;
}

function hasValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return value !== undefined && value !== false && value !== '';
}
