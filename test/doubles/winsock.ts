// The test's side of what stands in for ws2_32.dll, on Linux (winsock/) and under wine (wine/winsock.c): fails calls, counts
// sockets, and dials as a guest does.
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import koffi from 'koffi';
import type { RuntimeId } from '../../agent/hcs/backend.ts';
import { hyperVAddress, vsockServiceId } from '../../agent/windows/hvsock-address.ts';
import { buildDouble } from './build.ts';

export interface WinsockDouble {
  readonly path: string;
  /** The next call of that name fails with the Winsock error. */
  readonly failNext: (call: string, code: number) => void;
  readonly openSockets: () => number;
  readonly dial: (vm: RuntimeId, port: number) => Socket;
}

export async function loadWinsock(): Promise<WinsockDouble> {
  const isWindows = process.platform === 'win32';
  const path = isWindows ? required('LCOW_WINSOCK') : await buildDouble('winsock');
  const library = koffi.load(path);
  return {
    path,
    failNext: library.func('DoubleFail', 'void', ['str', 'int']),
    openSockets: library.func('DoubleOpenSockets', 'int', []),
    dial: (vm, port) =>
      isWindows
        ? dialProxied(required('HVSOCK_FOLDER'), vm, port)
        : connect({ path: `\0hvsock-${addressText(vm, port)}`, allowHalfOpen: true }),
  };
}

/** A guest of the wine bed, on either side of it, dials its host: `folder` is HVSOCK_FOLDER as the caller sees it. */
export function dialProxied(folder: string, vm: RuntimeId, port: number): Socket {
  return connect({ host: '127.0.0.1', port: proxiedPort(join(folder, addressText(vm, port))), allowHalfOpen: true });
}

/** Nobody listens on the first port, so what is not there refuses as it should. */
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
