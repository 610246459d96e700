// How Windows ends the pod of an agent: CTRL_SHUTDOWN_EVENT, which Node does not hand on (libuv leaves it to services). A
// process is ended as soon as its handler of that event returns, and the handler is JavaScript, which cannot wait without
// stopping everything else of its thread. So the handler belongs to a thread of its own, which waits until the stop is done.
import { Worker } from 'node:worker_threads';
import type { ShutdownData } from './shutdown-main.ts';
import { type WindowsLibraries, windowsLibraries } from './system-library.ts';

export interface ShutdownSignal {
  /** The stop is done: Windows may end the process. Idempotent. */
  done(): void;
}

/** It does next to nothing. */
const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

/**
 * Calls `stop` once when Windows shuts the process down. Rejects when it would not hear of that.
 * @param milliseconds how long Windows is kept waiting at most
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
