// What a process in the VM is started with (hcs-runtime E.6, ExecuteProcess). Members are written in the order of the
// original and left out when they have no value.
import { encodeInnerJson } from './bridge-frames.ts';

export interface GuestCommand {
  readonly args: readonly string[];
  /** Split by the guest as a shell would; the arguments are not sent then. */
  readonly commandLine?: string;
  /** `/` when absent. */
  readonly workingDirectory?: string;
  /** `NAME=value`; entries without a value are dropped, as the original does, and the last of equal names wins. */
  readonly environment?: readonly string[];
  /** A Linux guest ignores it. */
  readonly user?: string;
  /** Everything flows over stdin and stdout then. A Linux guest ignores the size. */
  readonly terminal?: { readonly height?: number; readonly width?: number };
}

/** The ports on which this host listens for the streams that are wanted. */
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
    ProcessParameters: encodeInnerJson(parametersOf(command, ports)),
    VsockStdioRelaySettings: { StdIn: ports.stdin, StdOut: ports.stdout, StdErr: ports.stderr },
  };
}

/** `JSON.stringify` leaves out what is undefined. */
function parametersOf(command: GuestCommand, ports: StdioPorts): object {
  const { commandLine, terminal } = command;
  return {
    CommandLine: commandLine,
    CommandArgs: commandLine === undefined ? command.args : undefined,
    User: command.user,
    WorkingDirectory: command.workingDirectory ?? '/',
    Environment: environmentOf(command.environment ?? defaultEnvironment),
    EmulateConsole: isSet(terminal),
    CreateStdInPipe: isSet(ports.stdin),
    CreateStdOutPipe: isSet(ports.stdout),
    CreateStdErrPipe: isSet(ports.stderr),
    ConsoleSize: terminal?.height === undefined ? undefined : [terminal.height, terminal.width ?? 0],
  };
}

function isSet(value: unknown): true | undefined {
  return value === undefined ? undefined : true;
}

function environmentOf(entries: readonly string[]): Readonly<Record<string, string>> | undefined {
  const values = new Map<string, string>();
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    if (equals >= 0 && equals < entry.length - 1) values.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  if (values.size === 0) return undefined;
  return Object.fromEntries([...values].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other))));
}
