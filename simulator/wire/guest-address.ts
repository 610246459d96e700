// Where a simulated guest connects to its host: a Unix socket stands in for the Hyper-V socket address (VmId, port) of
// hcs-runtime C.3.
import { join } from 'node:path';
import type { RuntimeId } from '../../agent/node/backend.ts';

/** The limit for the path of a Unix socket is 108 bytes on Linux, less elsewhere. */
const maxPathBytes = 100;

export function guestSocketPath(directory: string, runtimeId: RuntimeId, port: number): string {
  const short = runtimeId.replaceAll('-', '').slice(0, 16);
  const path = join(directory, `${short}_${port}`);
  if (Buffer.byteLength(path) < maxPathBytes) return path;
  throw new Error(
    `${path}: the path of a guest socket must be shorter than ${maxPathBytes} bytes; choose a shorter folder`,
  );
}
