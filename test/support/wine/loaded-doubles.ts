// Loaded into a Windows process before its program (`--import`). The program then loads the doubles instead of
// libraries from System32. A loopback connection (guest-host.ts) reports the state of the computecore.dll double and
// receives the ends of guests. Threads of the program load this file, too.
import { connect } from 'node:net';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { isMainThread } from 'node:worker_threads';
import ourKoffi from 'koffi';
import { z } from 'zod';
import { systemClock } from '../../../runtime/clock.ts';
import { ComputeCoreDouble, type Counts } from '../doubles/computecore.ts';
import { ComputeCoreService } from '../doubles/computecore-service.ts';
import './first-pipe-instance.ts';
import { type DoubleState, guestExit } from './guest-protocol.ts';

const variables = z
  .object({
    LCOW_KOFFI: z.string(),
    LCOW_COMPUTECORE: z.string(),
    LCOW_WIN32: z.string(),
    LCOW_WINSOCK: z.string(),
    LCOW_GUEST_HOST_PORT: z.coerce.number(),
    /** The port of the service of a node that acts as HCS; 0 = this process has its own HCS. */
    LCOW_SERVICE_PORT: z.coerce.number(),
  })
  .parse(process.env);

const doubles: Readonly<Record<string, string>> = {
  'computecore.dll': variables.LCOW_COMPUTECORE,
  'kernel32.dll': variables.LCOW_WIN32,
  'advapi32.dll': variables.LCOW_WIN32,
  'ws2_32.dll': variables.LCOW_WINSOCK,
};

/** The program's own koffi. */
const { default: koffi }: { default: { load: (path: string, ...rest: unknown[]) => unknown } } = await import(
  variables.LCOW_KOFFI
);
const { load } = koffi;
koffi.load = (path, ...rest) => load(inSystem32(path) ? (doubles[basename(path)] ?? path) : path, ...rest);

function inSystem32(path: string): boolean {
  return /\\system32\\[^\\]+$/i.test(path);
}

const win32 = ourKoffi.load(variables.LCOW_WIN32);
const pathAt: (index: number) => string | null = win32.func('DoublePathAt', 'str16', ['int']);
const accessOf: (path: string) => string = win32.func('DoubleAccessOf', 'str', ['str16']);

function accessLists(): Readonly<Record<string, string>> {
  const lists: Record<string, string> = {};
  for (let index = 0, path = pathAt(0); path !== null; index += 1, path = pathAt(index)) lists[path] = accessOf(path);
  return lists;
}

const watchMilliseconds = 20;

interface Watched {
  /** Systems whose guests are to be played. */
  systems(): Promise<DoubleState['systems']>;
  counts(): Counts;
  exit(system: string, exitType: string, status: number): void;
}

function ownHcs(): Watched {
  const double = new ComputeCoreDouble(variables.LCOW_COMPUTECORE);
  const backend = double.connect();
  return {
    systems: async () =>
      (await backend.enumerate()).flatMap(({ id, runtimeId, state }) =>
        runtimeId === undefined ? [] : [{ id, runtimeId, state }],
      ),
    counts: () => double.counts(),
    exit: (system, exitType, status) => double.exit(system, exitType, status),
  };
}

/** The service plays the guests of its own systems. */
async function service(): Promise<Watched> {
  const client = await ComputeCoreService.load(variables.LCOW_COMPUTECORE, String(variables.LCOW_SERVICE_PORT), '');
  return { systems: async () => [], counts: () => client.counts(), exit: () => undefined };
}

async function watch(): Promise<void> {
  const hcs = variables.LCOW_SERVICE_PORT === 0 ? ownHcs() : await service();
  const socket = connect(variables.LCOW_GUEST_HOST_PORT, '127.0.0.1').unref();
  // Without guests the program cannot work as intended.
  socket.on('error', (error) => process.stderr.write(`nobody plays guests: ${error.message}\n`));
  createInterface(socket).on('line', (line) => {
    const { system, exitType, status } = guestExit.parse(JSON.parse(line));
    hcs.exit(system, exitType, status);
  });
  let told = '';
  const tell = async () => {
    const systems = await hcs.systems();
    // Our own enumeration has finished, but the program may be in calls of its own.
    const state: DoubleState = { systems, counts: hcs.counts(), access: accessLists() };
    const line = JSON.stringify(state);
    if (line !== told) socket.write(`${line}\n`);
    told = line;
  };
  const next = () => {
    tell().then(
      () => systemClock.after(watchMilliseconds, next),
      (error: Error) => process.stderr.write(`the double cannot be watched: ${error.message}\n`),
    );
  };
  next();
}

if (isMainThread) await watch();
