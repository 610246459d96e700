// CTRL_SHUTDOWN_EVENT, with which Windows ends the pod of an agent. Node does not pass it on (libuv leaves it to
// services). Windows ends a process as soon as its handler of this event returns. The handler is JavaScript, which
// cannot wait without blocking its thread. So the handler runs in a separate thread, which waits until the stop is
// done.
import { Worker } from 'node:worker_threads';
import type { ShutdownData } from './shutdown-main.ts';
import { type WindowsLibraries, windowsLibraries } from './system-library.ts';

export interface ShutdownSignal {
  /** The agent has stopped: Windows may end the process. Idempotent. */
  done(): void;
}

/** Small, because the thread does almost nothing. */
const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

/**
 * Calls `stop` once when Windows shuts the process down. Rejects when Windows refuses the handler.
 * @param milliseconds the longest time that Windows is kept waiting
 */
export async function onShutdown(
  stop: () => void,
  milliseconds: number,
  { kernel32 }: Pick<WindowsLibraries, 'kernel32'> = windowsLibraries(),
): Promise<ShutdownSignal> {
  const doneFlag = new Int32Array(new SharedArrayBuffer(4));
  const data: ShutdownData = { kernel32, doneFlag, milliseconds };
  const worker = new Worker(new URL('./shutdown-main.ts', import.meta.url), { workerData: data, resourceLimits });
  const ready = Promise.withResolvers<void>();
  worker.on('message', (said: 'ready' | 'shutdown') => (said === 'ready' ? ready.resolve() : stop()));
  worker.once('error', ready.reject);
  await ready.promise;
  worker.unref();
  return {
    done() {
      Atomics.store(doneFlag, 0, 1);
      Atomics.notify(doneFlag, 0);
    },
  };
}
