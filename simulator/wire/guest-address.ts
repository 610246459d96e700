// Where a simulated guest connects to its host: a Unix socket stands in for the Hyper-V socket address (VmId, port) of
// hcs-runtime C.3. The host reaches all ports of a guest at one socket, where it names the port first (`guest-ports.ts`).
import { join } from 'node:path';
import type { RuntimeId } from '../../agent/node/backend.ts';

/** The limit for the path of a Unix socket is 108 bytes on Linux, less elsewhere. */
const maxPathBytes = 100;

export function guestSocketPath(directory: string, runtimeId: RuntimeId, port: number): string {
  return bounded(join(directory, `${shortName(runtimeId)}_${port}`));
}

/** Where the host connects to the ports of a guest. */
export function guestDoorPath(directory: string, runtimeId: RuntimeId): string {
  return bounded(join(directory, shortName(runtimeId)));
}

function shortName(runtimeId: RuntimeId): string {
  return runtimeId.replaceAll('-', '').slice(0, 16);
}

function bounded(path: string): string {
  if (Buffer.byteLength(path) < maxPathBytes) return path;
  throw new Error(
    `${path}: the path of a guest socket must be shorter than ${maxPathBytes} bytes; choose a shorter folder`,
  );
}
