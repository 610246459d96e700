// `kubectl luvm exec`: runs a process in the guest, connected to this program's streams, and ends with its exit code.
// The bridge can neither signal nor resize a process of the VM: Ctrl-C runs `kill` in the guest; a resize is refused
// with a reason.
import { ApiFailure } from './api.ts';
import { ChannelSession, type SessionEnd } from './channel-session.ts';
import { type CommandPorts, exitCodes, firstPatience } from './commands.ts';
import { Patience } from './patience.ts';
import { start } from './start.ts';
import { type Terminal, tell } from './terminal.ts';

export interface ExecOptions {
  readonly stdin: boolean;
  readonly tty: boolean;
}

/** The exit code that a guest reports for a process that a signal ended. */
const killed = 0xffff_ffff;
/** Signals of the first Ctrl-C, the second one, and all others. */
const interruptSignals = ['INT', 'TERM', 'KILL'] as const;

export async function exec(
  name: string,
  command: readonly string[],
  options: ExecOptions,
  ports: CommandPorts,
): Promise<number> {
  const { terminal } = ports;
  const size = options.tty ? terminal.size : undefined;
  if (options.tty && size === undefined) tell(terminal, 'input or output is no terminal: the guest gets none either');
  const query = commandQuery(command);
  query.set('stdin', String(options.stdin));
  query.set('stdout', 'true');
  query.set('stderr', String(size === undefined));
  if (size !== undefined) {
    for (const [key, value] of Object.entries({ tty: true, ...size })) query.set(key, String(value));
  }
  const session = await open(name, query, ports);
  const leave = [terminal.onInterrupt(() => void interrupt(name, session, ports))];
  let signals = 0;
  const interrupt = async (machine: string, of: ChannelSession, { api }: CommandPorts) => {
    const signal = interruptSignals[Math.min(signals, interruptSignals.length - 1)] ?? 'KILL';
    signals += 1;
    await kill(machine, signal, await of.processID, api).catch((error: Error) =>
      tell(terminal, `[the process could not be signalled: ${error.message}]`),
    );
  };
  if (size !== undefined) {
    terminal.raw(true);
    leave.push(
      () => terminal.raw(false),
      terminal.onResize(() => {
        const now = ports.terminal.size ?? size;
        void session.resize(now.height, now.width);
      }),
    );
  }
  if (options.stdin) void forward(terminal.input, session);
  const end = await session.ended;
  for (const undo of leave) undo();
  return exitCodeOf(end, terminal);
}

/** Waits for an operator that is not available yet: nothing has been started in that case. */
async function open(name: string, query: URLSearchParams, ports: CommandPorts): Promise<ChannelSession> {
  const { api, clock, random, terminal } = ports;
  const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
  const patience = new Patience({ clock, random, limitMilliseconds: firstPatience, onTrouble });
  for (;;) {
    try {
      return new ChannelSession(await start(api, name, 'exec', query), terminal);
    } catch (error) {
      // Without an answer it is unknown whether the process was started.
      if (error instanceof ApiFailure && error.code === 0) throw error;
      await patience.wait(error);
    }
  }
}

async function forward(input: Terminal['input'], session: ChannelSession): Promise<void> {
  for await (const chunk of input) await session.send(Buffer.from(chunk));
  await session.endInput();
}

function commandQuery(command: readonly string[]): URLSearchParams {
  const query = new URLSearchParams();
  for (const word of command) query.append('command', word);
  return query;
}

/** Runs `kill` as another process in the guest. */
async function kill(
  name: string,
  signal: string,
  processID: number | undefined,
  api: CommandPorts['api'],
): Promise<void> {
  if (processID === undefined) return;
  const query = commandQuery(['kill', `-${signal}`, String(processID)]);
  const socket = await start(api, name, 'exec', query);
  socket.on('error', () => socket.terminate());
  socket.resume();
}

function exitCodeOf(end: SessionEnd, terminal: Terminal): number {
  switch (end.kind) {
    case 'exited': {
      const code = end.exitCode ?? 0;
      if (code === killed) tell(terminal, 'the process was ended by a signal');
      // Reduces the code to what a process on the user's computer can end with.
      return code > 0xff ? code & 0xff || exitCodes.failed : code;
    }
    case 'failed':
      tell(terminal, `error: ${end.message} (${end.problem})`);
      return exitCodes.failed;
    case 'lost':
      tell(
        terminal,
        'error: the connection was lost, as when the operator restarts: the process was hung up, and its exit code is not known',
      );
      return exitCodes.failed;
  }
}
