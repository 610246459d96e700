// The test's side of the substitutes for ws2_32.dll, on Linux (winsock/) and under wine (wine/winsock.c): makes calls
// fail, counts sockets, and connects and listens like a guest.
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import type { RuntimeId } from '../../../agent/node/backend.ts';
import { hyperVAddress, vsockServiceId } from '../../../agent/windows/hvsock/address.ts';
import type { Dial } from '../../../simulator/wire/guest-dial.ts';
import { buildDouble } from './build.ts';

/** How often the pump's sleep ended, by cause. */
export interface Wakings {
  readonly bySocket: number;
  /** The end of a pause for one socket. */
  readonly byRest: number;
  /** The end of its longest sleep. */
  readonly byIdleTime: number;
}

export interface WinsockDouble {
  readonly path: string;
  /** The next call of that name fails with this Winsock error. */
  readonly failNext: (call: string, code: number) => void;
  readonly openSockets: () => number;
  readonly wakings: () => Wakings;
  /** While true, only a socket ends the pump's longest sleep. */
  readonly sleepUntilWoken: (yes: boolean) => void;
  readonly dial: (vm: RuntimeId, port: number) => Socket;
  /** A program of the guest listens on a port. */
  readonly listen: (vm: RuntimeId, port: number, serve: (socket: Socket) => void) => Promise<Server>;
}

export async function loadWinsock(): Promise<WinsockDouble> {
  const isWindows = process.platform === 'win32';
  const path = isWindows ? required('LCOW_WINSOCK') : await buildDouble('winsock');
  const library = koffi.load(path);
  const idleForever = library.func('DoubleIdleForever', 'void', ['int']);
  return {
    path,
    failNext: library.func('DoubleFail', 'void', ['str', 'int']),
    wakings: wakingsOf(library),
    sleepUntilWoken: (yes) => idleForever(yes ? 1 : 0),
    openSockets: library.func('DoubleOpenSockets', 'int', []),
    dial: (vm, port) =>
      isWindows
        ? dialProxied(required('HVSOCK_FOLDER'), vm, port)
        : connect({ path: `\0hvsock-${addressText(vm, port)}`, allowHalfOpen: true }),
    listen: (vm, port, serve) =>
      isWindows
        ? listenProxied(required('HVSOCK_FOLDER'), { vm, port }, serve)
        : listening({ path: `\0hvguest-${addressText(vm, port)}` }, serve),
  };
}

async function listening(
  at: { readonly path: string } | { readonly host: string; readonly port: number },
  serve: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, serve).listen(at);
  await once(server, 'listening');
  return server;
}

async function listenProxied(
  folder: string,
  { vm, port }: { readonly vm: RuntimeId; readonly port: number },
  serve: (socket: Socket) => void,
): Promise<Server> {
  const server = await listening({ host: '127.0.0.1', port: 0 }, serve);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the guest has no address');
  const file = join(folder, `guest-${addressText(vm, port)}`);
  writeFileSync(file, `${address.port}\n`);
  server.once('close', () => rmSync(file, { force: true }));
  return server;
}

/** @param library the double, which the process has loaded or will load */
export function wakingsOf(library: LibraryHandle): () => Wakings {
  const polls: (how: number) => number = library.func('DoublePolls', 'int', ['int']);
  return () => ({ bySocket: polls(0), byRest: polls(1), byIdleTime: polls(2) });
}

/**
 * Connects to its host as a guest of the wine tests, from either side: `folder` is HVSOCK_FOLDER as the caller sees it.
 */
export function dialProxied(folder: string, vm: RuntimeId, port: number): Socket {
  return connect({ host: '127.0.0.1', port: proxiedPort(join(folder, addressText(vm, port))), allowHalfOpen: true });
}

/** The same for a simulated guest. */
export function dialAsGuest(folder: string, vm: RuntimeId, port: number): ReturnType<Dial> {
  return new Promise((resolve) => {
    const socket = dialProxied(folder, vm, port);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // The users of the socket see its end by `close`.
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', () => resolve('refused'));
  });
}

/** Nobody listens on the first port, so that a missing listener refuses as it should. */
function proxiedPort(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || 1;
  } catch {
    return 1;
  }
}

function addressText(vm: RuntimeId, port: number): string {
  return Buffer.from(hyperVAddress(vm, vsockServiceId(port)).subarray(4)).toString('hex');
}

function required(variable: string): string {
  const value = process.env[variable];
  if (value === undefined) throw new Error(`${variable} is not set: this runs from npm run test:wine`);
  return value;
}
