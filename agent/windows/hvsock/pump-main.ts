// The pump's thread (`worker_threads`), started by `pump-thread.ts`.
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Pump } from './pump.ts';
import type { ToPump } from './pump-messages.ts';
import { Winsock } from './winsock.ts';

export interface PumpData {
  readonly library: string;
  /** One element: 1 while a wake-up datagram is on its way, or while the pump is awake and will look for messages. */
  readonly wakeFlag: Int32Array;
  readonly port: MessagePort;
}

/** Messages use a separate port, because this thread never returns to its event loop. */
const { library, wakeFlag, port }: PumpData = workerData;

new Pump({
  winsock: Winsock.load(library),
  post: (message) => {
    if (message.type === 'data') port.postMessage(message, [message.bytes.buffer]);
    else port.postMessage(message);
  },
  next: () => {
    const received: { readonly message: ToPump } | undefined = receiveMessageOnPort(port);
    return received?.message;
  },
  mayNeedWaking: () => Atomics.store(wakeFlag, 0, 0),
}).run();
port.close();
parentPort?.close();
