// The console of a VM whose serial port is a named pipe (`ComPorts`, hcs-documents §6). Read through Node's own pipes,
// which need no native code. HCS creates the pipe when the VM starts. A reader may come earlier, or may lose the pipe
// at a reset.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fixedTimes } from '../bounds/timeouts.ts';

/** The pipe does not exist yet, or its only instance is in use for a moment. */
const retriedCodes: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'EBUSY', 'EAGAIN']);

/** Yields the console's output until the signal aborts. A slow reader slows the guest's console down. */
export async function* readConsole(pipe: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  while (!signal.aborted) {
    const socket = await dial(pipe, signal);
    if (socket !== undefined) yield* readAll(socket, signal);
    await sleep(fixedTimes.windows.consoleRetry, undefined, { signal }).catch(() => undefined);
  }
}

/** Undefined when another attempt may succeed. */
function dial(pipe: string, signal: AbortSignal): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: pipe, signal });
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (signal.aborted || retriedCodes.has(error.code ?? '')) resolve(undefined);
      else reject(error);
    });
  });
}

async function* readAll(socket: Socket, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const bytes of socket) yield bytes;
  } catch (error) {
    // The VM's end of the pipe breaks when the VM ends or is reset.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (!signal.aborted && code !== 'EPIPE' && code !== 'ECONNRESET') throw error;
  } finally {
    socket.destroy();
  }
}
