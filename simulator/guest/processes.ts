// The processes of a simulated guest (hcs-runtime E.6, ExecuteProcess and WaitForProcess). The guest connects to the
// ports of the requested streams before it answers, runs one of a few programs, and forgets a process once its exit was
// reported.
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { emergencyScript, readOnlyScript, signalScript } from '../../agent/guest/bridge/leaving-scripts.ts';
import { lookScript } from '../../agent/guest/bridge/mount-look.ts';
import { noteScript, signalProgramScript, startScript } from '../../agent/guest/bridge/process-scripts.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import type { Dial } from '../wire/guest-dial.ts';
import { GuestFailure, guestResults } from './failure.ts';
import type { GuestMounts } from './mounts.ts';
import { OutputRelay, ProcessNotes } from './relayed-process.ts';

/** The exit code that a guest reports for a process that a signal ended. */
const killed = 0xffff_ffff;

const port = z.int().min(1).max(0xffff_ffff).optional();
export const executeSettings = z.object({
  ProcessParameters: z.string(),
  VsockStdioRelaySettings: z.object({ StdIn: port, StdOut: port, StdErr: port }).prefault({}),
});
const parameters = z.object({
  CommandLine: z.string().optional(),
  CommandArgs: z.array(z.string()).default([]),
  CreateStdInPipe: z.boolean().default(false),
  CreateStdOutPipe: z.boolean().default(false),
  CreateStdErrPipe: z.boolean().default(false),
});

interface Streams {
  readonly stdin: Duplex | undefined;
  readonly stdout: Duplex | undefined;
  readonly stderr: Duplex | undefined;
}

interface Running {
  readonly exited: Promise<number>;
  readonly kill: (code?: number) => void;
}

interface ProcessRoom {
  readonly id: number;
  readonly clock: Clock;
  readonly processes: GuestProcesses;
  readonly mounts: GuestMounts;
  /** Aborts when the process is killed. */
  readonly killed: AbortSignal;
}

type Program = (args: readonly string[], streams: Streams, room: ProcessRoom) => number | Promise<number>;

export interface GuestProcessesOptions {
  readonly dial: Dial;
  readonly mounts: GuestMounts;
  readonly clock: Clock;
  readonly redialMilliseconds: number;
}

export class GuestProcesses {
  readonly notes = new ProcessNotes();
  readonly #options: GuestProcessesOptions;
  readonly #running = new Map<number, Running>();
  readonly #life = new AbortController();
  #nextId = 100;

  constructor(options: GuestProcessesOptions) {
    this.#options = options;
  }

  /** Returns the id of the process. */
  async execute(settings: z.infer<typeof executeSettings>): Promise<number> {
    const wanted = readParameters(settings.ProcessParameters);
    const args = wanted.CommandLine?.split(/\s+/) ?? wanted.CommandArgs;
    const program = programOf(args);
    const { StdErr, StdIn, StdOut } = settings.VsockStdioRelaySettings;
    const streams = {
      stdin: wanted.CreateStdInPipe ? await this.#connect('stdin', StdIn) : undefined,
      stdout: wanted.CreateStdOutPipe ? await this.#connect('stdout', StdOut) : undefined,
      stderr: wanted.CreateStdErrPipe ? await this.#connect('stderr', StdErr) : undefined,
    };
    if (program === undefined) {
      closeAll(streams);
      const text = `failed to call Start for external process: fork/exec ${args[0] ?? ''}: no such file or directory`;
      throw new GuestFailure(guestResults.unspecified, text);
    }
    return this.#start(program, args, streams);
  }

  /** As the agent's start script: the program runs below a relay. Returns the exit code. */
  async runRelayed(script: number, port: number, args: readonly string[]): Promise<number> {
    const relay = new OutputRelay(port, { ...this.#options, signal: this.#life.signal });
    const streams = { stdin: undefined, stdout: relay.input, stderr: relay.input };
    const id = this.#start(programOf(args) ?? notFound, args, streams);
    this.notes.started(script, id);
    const code = await this.wait(id);
    await relay.end();
    this.notes.ended(code);
    return code;
  }

  async wait(processId: number): Promise<number> {
    const running = this.#running.get(processId);
    if (running === undefined) throw new GuestFailure(guestResults.noSuchProcess, 'HRESULT: 0x80070490');
    const code = await running.exited;
    this.#running.delete(processId);
    return code;
  }

  /** @param code the exit code; absent: as the guest reports the end by a signal */
  kill(processId: number, code?: number): boolean {
    const running = this.#running.get(processId);
    running?.kill(code);
    return running !== undefined;
  }

  /** Cuts the power. */
  end(): void {
    this.#life.abort();
    for (const { kill } of this.#running.values()) kill();
  }

  #start(program: Program, args: readonly string[], streams: Streams): number {
    const id = this.#nextId;
    this.#nextId += 1;
    const death = Promise.withResolvers<number>();
    const life = new AbortController();
    const { clock, mounts } = this.#options;
    const room: ProcessRoom = { id, clock, processes: this, mounts, killed: life.signal };
    const exited = Promise.race([death.promise, runProgram(program, args, streams, room)]).finally(() =>
      closeAll(streams),
    );
    const kill = (code = killed) => {
      life.abort();
      death.resolve(code);
    };
    this.#running.set(id, { exited, kill });
    return id;
  }

  async #connect(name: string, wanted: number | undefined): Promise<Duplex> {
    const socket = wanted === undefined ? 'refused' : await this.#options.dial(wanted);
    if (socket === 'refused')
      throw new GuestFailure(guestResults.unspecified, `failed creating ${name} Connection: refused`);
    return socket;
  }
}

function programOf(args: readonly string[]): Program | undefined {
  return programs.get(args[0]?.replace(/^.*\//, '') ?? '');
}

/** What a shell says and ends with. */
function notFound(args: readonly string[], { stderr }: Streams): number {
  stderr?.write(`process: exec: ${args[0] ?? ''}: not found\n`);
  return 127;
}

function readParameters(text: string): z.infer<typeof parameters> {
  try {
    return parameters.parse(JSON.parse(text));
  } catch {
    const message = `failed to unmarshal JSON for ProcessParameters "${text}": HRESULT 0xc037010d`;
    throw new GuestFailure(guestResults.invalidJson, message);
  }
}

async function runProgram(
  program: Program,
  args: readonly string[],
  streams: Streams,
  room: ProcessRoom,
): Promise<number> {
  return await program(args, streams, room);
}

function closeAll({ stdin, stdout, stderr }: Streams): void {
  stdin?.destroy();
  stdout?.end();
  stderr?.end();
}

/** All other programs do not exist in this guest. */
const programs: ReadonlyMap<string, Program> = new Map<string, Program>([
  ['true', () => 0],
  ['false', () => 1],
  ['echo', (args, { stdout }) => say(stdout, `${args.slice(1).join(' ')}\n`)],
  ['uname', (_, { stdout }) => say(stdout, 'Linux simulated 6.6.96 #1 SMP x86_64 GNU/Linux\n')],
  ['cat', (_, { stdin, stdout }) => copy(stdin, stdout)],
  ['sleep', () => new Promise<number>(() => {})],
  ['kill', (args, _, { processes }) => (processes.kill(Number(args.at(-1))) ? 0 : 1)],
  ['tail', (args, _, room) => holdOpen(args.at(-1) ?? '', room)],
  ['umount', (args, _, { mounts }) => (mounts.takeOff(args.at(-1) ?? '') ? 0 : 1)],
  ['sync', (_args, _streams, { mounts }) => sync(mounts)],
  ['sh', (args, streams, room) => runShell(args, streams, room)],
]);

/** Runs until it is killed. */
function holdOpen(path: string, { killed: signal, mounts }: ProcessRoom): Promise<number> {
  const close = mounts.open(path);
  signal.addEventListener('abort', close, { once: true });
  return new Promise<number>(() => {});
}

function sync(mounts: GuestMounts): number {
  mounts.sync();
  return 0;
}

function say(stream: Duplex | undefined, text: string): number {
  stream?.write(text);
  return 0;
}

function copy(from: Duplex | undefined, to: Duplex | undefined): Promise<number> {
  return new Promise((resolve) => {
    if (from === undefined) resolve(0);
    from?.on('data', (chunk: Buffer) => {
      if (to?.write(chunk) === false) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from?.once('close', () => resolve(0));
    from?.once('end', () => resolve(0));
  });
}

type Script = (room: ProcessRoom, args: readonly string[], streams: Streams) => number | Promise<number>;

const signalNumbers: ReadonlyMap<string, number> = new Map([
  ['KILL', 9],
  ['TERM', 15],
]);

const scripts: ReadonlyMap<string, Script> = new Map<string, Script>([
  [startScript, ({ id, processes }, [, port, ...command]) => processes.runRelayed(id, Number(port), command)],
  [noteScript, ({ processes }, _args, { stdout }) => say(stdout, processes.notes.text)],
  [signalProgramScript, ({ processes }, [signal = '']) => signalProgram(processes, signal)],
  [lookScript, ({ mounts }, [path = '']) => mounts.look(path)],
  [emergencyScript, ({ mounts }) => mounts.makeReadOnly()],
  [readOnlyScript, ({ mounts }) => (mounts.isReadOnly ? 0 : 50)],
  [signalScript, ({ processes }, [, ...ids]) => (ids.every((id) => processes.kill(Number(id))) ? 0 : 1)],
]);

/** The relay ends with 128 and the number of the signal that ended its program. */
function signalProgram(processes: GuestProcesses, signal: string): number {
  const { program } = processes.notes;
  const number = signalNumbers.get(signal) ?? 0;
  return program !== undefined && processes.kill(program, 128 + number) ? 0 : 1;
}

/** Knows the agent's scripts, and a few that tests need. */
function runShell(args: readonly string[], streams: Streams, room: ProcessRoom): number | Promise<number> {
  const [, , script = '', , ...rest] = args;
  const known = scripts.get(script);
  if (known !== undefined) return known(room, rest, streams);
  const { mounts } = room;
  const [before = '', loop] = script.split('until [ -e ', 2);
  if (loop !== undefined) return runLoop(before, loop, streams, room);
  const written = /^echo \S+ > (\S+)$/.exec(script)?.[1];
  if (written !== undefined) return mounts.write(written) ? 0 : 1;
  if (script.includes('kill -9 $$')) return killed;
  return runLines(script, streams, room);
}

async function runLines(script: string, streams: Streams, room: ProcessRoom): Promise<number> {
  for (const line of script.split(';').map((each) => each.trim())) {
    const end = await runLine(line, streams, room);
    if (end !== 0 || line.startsWith('exit')) return end;
  }
  return 0;
}

/** Waits for a file, and looks once a second: `PATH ]; do sleep 1; done; SCRIPT`. */
async function runLoop(before: string, loop: string, streams: Streams, room: ProcessRoom): Promise<number> {
  const { clock, killed: signal, mounts } = room;
  const [path = '', after = ''] = loop.split(' ]; do sleep 1; done; ', 2);
  if (before !== '') await runShell(['sh', '-c', before.replace(/; $/, '')], streams, room);
  while (!mounts.files.includes(path)) await delay(clock, 1000, signal);
  return await runShell(['sh', '-c', after], streams, room);
}

const exitLine = /^exit (\d{1,3})$/;
const echoLine = /^echo ([^<>|&]*?)( >&2)?$/;

const sleepLine = /^sleep (\d{1,3})$/;

/** Its exit code. A `sleep` of a thousand seconds or more runs until it is killed. */
async function runLine(line: string, { stderr, stdout }: Streams, room: ProcessRoom): Promise<number> {
  const code = exitLine.exec(line)?.[1];
  if (code !== undefined) return Number(code);
  const seconds = sleepLine.exec(line)?.[1];
  if (seconds !== undefined) {
    await delay(room.clock, Number(seconds) * 1000, room.killed);
    return 0;
  }
  if (line.startsWith('sleep ')) return await new Promise<number>(() => {});
  const [, text, redirected] = echoLine.exec(line) ?? [];
  if (text !== undefined) return say(redirected === undefined ? stdout : stderr, `${text}\n`);
  stderr?.write(`sh: ${line}: not found\n`);
  return 127;
}
