// `kubectl luvm cp`: copies a file or folder into a guest or out of it. Under the final name is all of it or what was
// there before. The guest is hostile: its archive writes nothing outside the target.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { delay, systemClock } from '../../runtime/clock.ts';
import { exitCodes } from '../commands.ts';
import { type Terminal, tell } from '../terminal.ts';
import type { GuestProcess, RunInGuest } from './guest-process.ts';
import { lastName, parseLocation } from './location.ts';
import { packed } from './pack.ts';
import { packCommand, unpackCommand } from './scripts.ts';
import { unpack } from './unpack.ts';

/** Milliseconds until a process that takes no more input has told why. */
const patience = 2_000;

export interface CopyPorts {
  readonly terminal: Pick<Terminal, 'errors' | 'onInterrupt'>;
  readonly guest: (name: string) => RunInGuest;
  readonly isWindows: boolean;
}

/** Resolves with the exit code. */
export async function copy(from: string, to: string, ports: CopyPorts): Promise<number> {
  const [source, target] = [parseLocation(from), parseLocation(to)];
  if (source.kind === 'local' && target.kind === 'guest') {
    // Before the guest does anything, it must be clear that there is something to send.
    await stat(source.path);
    const command = unpackCommand(target.path, basename(resolve(source.path)), randomUUID());
    return await whileRunning(ports.guest(target.name), command, ports, (process) => send(source.path, process, ports));
  }
  if (source.kind === 'guest' && target.kind === 'local') {
    const final = await finalPath(target.path, source.path);
    const command = packCommand(source.path);
    return await whileRunning(ports.guest(source.name), command, ports, (process) => receive(final, process, ports));
  }
  throw new Error('one of the two places must be in a guest (VM:PATH), and the other here');
}

/** Ctrl-C ends the process, and thereby the copy. */
async function whileRunning(
  run: RunInGuest,
  command: readonly string[],
  { terminal }: CopyPorts,
  work: (process: GuestProcess) => Promise<void>,
): Promise<number> {
  const process = await run(command);
  let isInterrupted = false;
  /** Why the process ended. It explains an archive that breaks off. */
  let cause: unknown;
  process.ended.catch((error: unknown) => {
    cause = error;
  });
  const stopListening = terminal.onInterrupt(() => {
    isInterrupted = true;
    process.close();
  });
  try {
    await work(process);
    return exitCodes.ok;
  } catch (error) {
    if (isInterrupted) return exitCodes.interrupted;
    // What the process has to say may come after the first write that it did not take.
    await Promise.race([process.ended.catch(() => undefined), delay(systemClock, patience)]);
    throw cause ?? error;
  } finally {
    stopListening();
    process.close();
  }
}

async function send(path: string, process: GuestProcess, { terminal }: CopyPorts): Promise<void> {
  const sending = (async () => {
    for await (const chunk of packed(path, (left) => tell(terminal, `left out: ${left}`))) await process.send(chunk);
    await process.endInput();
  })();
  // A process that ends early takes no more input.
  await Promise.race([sending, process.ended]);
  await process.ended;
}

/** A copy into a folder keeps the name that the user gave, not one that the guest chooses. */
async function finalPath(path: string, source: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  const final = found?.isDirectory() === true ? join(path, lastName(source)) : path;
  const existing = await stat(final).catch(() => undefined);
  if (existing?.isDirectory() === true) throw new Error(`${final}: a folder of this name exists already`);
  return resolve(final);
}

const mostReported = 10;

async function receive(final: string, process: GuestProcess, { isWindows, terminal }: CopyPorts): Promise<void> {
  await process.endInput();
  const folder = await mkdtemp(join(dirname(final), '.luvm-cp-'));
  let leftOut = 0;
  const onLeftOut = (name: string, type: string) => {
    leftOut += 1;
    if (leftOut <= mostReported) tell(terminal, `left out: ${name} (${type})`);
  };
  try {
    await unpack(process.output, { folder, root: 'data', isWindows, onLeftOut });
    await process.ended;
    await rename(join(folder, 'data'), final);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (leftOut > mostReported) tell(terminal, `left out: ${leftOut - mostReported} more`);
}
