// The thread (`worker_threads`) whose handler Windows waits for at shutdown, started by `shutdown-signal.ts`.
import { parentPort, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { bindFunction } from './system-library.ts';
import { SystemMessages } from './system-message.ts';

export interface ShutdownData {
  readonly kernel32: string;
  /** One element: 1 once the stop is done. */
  readonly doneFlag: Int32Array;
  readonly milliseconds: number;
}

const shutdownEvent = 6;

const { doneFlag, kernel32, milliseconds }: ShutdownData = workerData;

/** Runs on a thread of Windows, which continues when this returns. Node handles other events. */
function handle(event: number): number {
  if (event !== shutdownEvent) return 0;
  parentPort?.postMessage('shutdown');
  Atomics.wait(doneFlag, 0, 0, milliseconds);
  return 1;
}

const handlerType = koffi.pointer(koffi.proto('__stdcall', null, 'int32_t', ['uint32_t']));
const handler = koffi.register(handle, handlerType);
const setHandler = bindFunction(kernel32, 'SetConsoleCtrlHandler', 'int32_t', [handlerType, 'int32_t']);
const lastError = bindFunction(kernel32, 'GetLastError', 'uint32_t', []);
if (setHandler(handler, 1) === 0) throw new SystemMessages(kernel32).error(Number(lastError()));
// Keeps this thread alive.
parentPort?.on('message', () => undefined);
parentPort?.postMessage('ready');
