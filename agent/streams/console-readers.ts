// Gives each console one reader at a time: the pipe of a serial port has one instance, so a second reader would wait
// indefinitely without notice.
import type { ReadConsole } from '../node/node.ts';

import { StreamFailure } from '../vm/stream-failure.ts';
import type { ConsoleReaders } from './stream-server.ts';

export class ExclusiveConsoles implements ConsoleReaders {
  readonly #read: ReadConsole;
  readonly #inUse = new Set<string>();

  constructor(read: ReadConsole) {
    this.#read = read;
  }

  async *read(pipe: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (this.#inUse.has(pipe)) throw new StreamFailure('ConsoleInUse', 'another user already reads the console');
    this.#inUse.add(pipe);
    try {
      // Marks the stream as served even while the console prints nothing.
      yield Buffer.alloc(0);
      yield* this.#read(pipe, signal);
    } finally {
      this.#inUse.delete(pipe);
    }
  }
}
