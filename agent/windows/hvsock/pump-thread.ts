// The main thread's end of the pump: sends messages to it, wakes it, and passes on its messages.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { PumpData } from './pump-main.ts';
import type { FromPump, ToPump } from './pump-messages.ts';

/** The pump's objects are short-lived; by default V8 would collect them only after tens of MiB. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

export class PumpThread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #wakeFlag: Int32Array;
  readonly #waker: Socket;

  private constructor(worker: Worker, port: MessagePort, wakeFlag: Int32Array, waker: Socket) {
    this.#worker = worker;
    this.#port = port;
    this.#wakeFlag = wakeFlag;
    this.#waker = waker;
  }

  /** `died` is called once if the pump ends without `stop`. */
  static async start(
    library: string,
    received: (message: FromPump) => void,
    died: (cause: unknown) => void,
  ): Promise<PumpThread> {
    const { port1, port2 } = new MessageChannel();
    const wakeFlag = new Int32Array(new SharedArrayBuffer(4));
    const data: PumpData = { library, wakeFlag, port: port2 };
    const worker = new Worker(new URL('./pump-main.ts', import.meta.url), {
      workerData: data,
      transferList: [port2],
      resourceLimits,
    });
    const ready = Promise.withResolvers<number>();
    port1.on('message', (message: FromPump) => {
      if (message.type === 'ready') ready.resolve(message.wakePort);
      else received(message);
    });
    worker.once('error', (error) => {
      port1.close();
      ready.reject(error);
      died(error);
    });
    const waker = createSocket('udp4');
    waker.connect(await ready.promise, '127.0.0.1');
    await once(waker, 'connect');
    // When the pump is gone, its worker reports that.
    waker.on('error', () => {});
    for (const each of [worker, port1, waker]) each.unref();
    return new PumpThread(worker, port1, wakeFlag, waker);
  }

  send(message: ToPump): void {
    this.#port.postMessage(message);
    // The side that sets the flag wakes the pump. The pump clears the flag before it looks for messages.
    if (Atomics.exchange(this.#wakeFlag, 0, 1) === 0) this.#waker.send('');
  }

  async stop(): Promise<void> {
    this.#worker.ref();
    const exited = once(this.#worker, 'exit');
    this.send({ type: 'stop' });
    await exited;
    this.#port.close();
    this.#waker.close();
  }
}
