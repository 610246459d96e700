// The main thread's end of the pump: sends it messages, wakes it, and hands out what it says.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { PumpData } from './pump-main.ts';
import type { FromPump, ToPump } from './pump-messages.ts';

/** What the pump makes is short-lived; V8 would let it pile up to tens of MiB before it looks. */
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

  /** `died` is called once, if the pump ends without having been told to. */
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
    // A pump that is gone says so through its worker.
    waker.on('error', () => {});
    for (const each of [worker, port1, waker]) each.unref();
    return new PumpThread(worker, port1, wakeFlag, waker);
  }

  send(message: ToPump): void {
    this.#port.postMessage(message);
    // Whoever sets the flag wakes it; the pump clears it before it looks for messages.
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
