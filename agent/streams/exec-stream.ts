// Serves one process in a guest: its three streams, and its exit code at the end. When the user disconnects, the
// process receives a hang-up, as from a closed terminal. When the process has ended but something keeps its output
// open, that output is awaited for a limited time.
import type { Readable, Writable } from 'node:stream';
import type { StreamOpening } from '../../protocol/streams/messages.ts';
import { type Clock, delay, timeoutSignal } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import type { GuestProcess } from '../guest/bridge/processes.ts';
import type { GuestAccess } from '../vm/guest-access.ts';
import { StreamFailure } from '../vm/stream-failure.ts';
import type { StreamOutcome } from './stream-outcome.ts';

/** The stream's channels (`MultiplexedStream`). */
export interface ExecChannels {
  incoming(channel: 'stdin'): Readable;
  outgoing(channel: 'stdout' | 'stderr'): Writable;
}

export interface ExecPorts {
  readonly clock: Clock;
  readonly access: Pick<GuestAccess, 'execute'>;
  readonly stream: ExecChannels;
  readonly opened: (processID: number) => void;
  readonly signal: AbortSignal;
}

type ExecOpening = Extract<StreamOpening, { type: 'exec' }>;

export async function serveExec(opening: ExecOpening, ports: ExecPorts): Promise<StreamOutcome> {
  const { access, clock, opened, signal, stream } = ports;
  const { command, stdin, stdout, stderr, terminal } = opening;
  const hasTerminal = terminal !== undefined;
  const wanted = { stdin, stdout: stdout || hasTerminal, stderr: stderr && !hasTerminal };
  const process = await access.execute({ args: command, ...(hasTerminal && { terminal }) }, wanted, signal);
  opened(process.id);
  if (terminal !== undefined) setSize(process, terminal, ports);
  const input = stream.incoming('stdin');
  if (process.stdin === undefined) input.resume();
  else input.pipe(process.stdin);
  const outputs = (['stdout', 'stderr'] as const).map((name) => relay(process[name], stream.outgoing(name), clock));
  const left = Promise.withResolvers<never>();
  left.promise.catch(() => undefined);
  const leave = () => left.reject(new StreamFailure('SessionLost', 'the reader has disconnected'));
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  try {
    const exit = exitOf(process);
    await Promise.race([Promise.allSettled([exit]), left.promise]);
    // Output from before the end is still on its way, even when the VM ended.
    await Promise.race([Promise.all(outputs.map((output) => output.drained())), left.promise]);
    return { exitCode: await exit };
  } catch (error) {
    if (signal.aborted) hangUp(process, ports);
    throw error;
  } finally {
    signal.removeEventListener('abort', leave);
    for (const each of [process.stdin, process.stdout, process.stderr]) each?.destroy();
  }
}

async function exitOf({ exitCode }: GuestProcess): Promise<number> {
  return await exitCode.catch((error: unknown) => {
    throw new StreamFailure('ExitCodeLost', messageOf(error));
  });
}

interface Output {
  /**
   * Resolves when everything was sent. If somebody else keeps the source open, output counts as complete after a time
   * of silence.
   */
  drained(): Promise<void>;
}

function relay(source: Readable | undefined, target: Writable, clock: Clock): Output {
  const sent = Promise.withResolvers<void>();
  target.once('close', () => sent.resolve());
  target.once('finish', () => sent.resolve());
  if (source === undefined) {
    target.end();
    return { drained: () => sent.promise };
  }
  let isOver = false;
  let hasSpoken = false;
  const over = Promise.withResolvers<void>();
  source.on('data', () => {
    hasSpoken = true;
  });
  source.once('close', () => {
    isOver = true;
    over.resolve();
    target.end();
  });
  source.once('end', () => source.destroy());
  source.pipe(target, { end: false });
  return {
    async drained() {
      while (!isOver) {
        hasSpoken = false;
        await Promise.race([over.promise, delay(clock, fixedTimes.streams.lingering)]);
        // A slow reader does not count as silence.
        if (!hasSpoken && target.writableLength === 0) break;
      }
      source.destroy();
      await sent.promise;
    },
  };
}

/**
 * The guest agent ignores the size of a new terminal, which is 0×0 then. `stty` sets it, where the guest has one; without
 * it the size stays unknown.
 */
function setSize(
  { id }: GuestProcess,
  { height, width }: NonNullable<ExecOpening['terminal']>,
  ports: Pick<ExecPorts, 'access' | 'clock'>,
): void {
  if (height === undefined || width === undefined) return;
  runUnheard(['stty', '-F', `/proc/${id}/fd/0`, 'rows', String(height), 'cols', String(width)], ports);
}

/** Sends SIGHUP, as a closed terminal does. Has no effect if the process has ended meanwhile. */
function hangUp({ id }: GuestProcess, ports: Pick<ExecPorts, 'access' | 'clock'>): void {
  runUnheard(['kill', '-HUP', String(id)], ports);
}

/** Runs a program of the guest whose output and end nobody waits for. */
function runUnheard(args: readonly string[], { access, clock }: Pick<ExecPorts, 'access' | 'clock'>): void {
  const nothing = { stdin: false, stdout: false, stderr: false };
  access.execute({ args }, nothing, timeoutSignal(clock, fixedTimes.streams.hangUp)).catch(() => undefined);
}
