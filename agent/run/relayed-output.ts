// What a relay in the guest sends (`vsockexec -r`, hcs-runtime F.3), across all its connections, as one stream. The relay
// connects again after each connection that broke, and continues behind what that connection had taken. While nobody
// reads, the relay waits, and so does its program.
import { type Duplex, Readable } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';
import type { GuestListener } from '../node/guest-sockets.ts';
import { RedialPauses } from './redial-pauses.ts';

const newline = 0x0a;

type ConnectionEnd = 'ended' | 'broken';

export class RelayedOutput extends Readable {
  readonly #listener: GuestListener;
  readonly #pauses: RedialPauses;
  readonly #over = new AbortController();
  #isServing = false;
  #connection: Duplex | undefined;
  /** How the last connection ended; undefined before the first one. */
  #last: ConnectionEnd | undefined;
  #lastByte = newline;
  #isRelayGone = false;

  /** Takes ownership of the listener. */
  constructor(listener: GuestListener, clock: Clock) {
    super();
    this.#listener = listener;
    this.#pauses = new RedialPauses(clock);
  }

  /** The relay has ended. The stream ends with the relay's last connection, if that one was not cut off. */
  relayEnded(): void {
    this.#isRelayGone = true;
    if (this.#connection === undefined && this.#last === 'ended') this.push(null);
  }

  override _read(): void {
    this.#connection?.resume();
    if (this.#isServing) return;
    this.#isServing = true;
    this.#serve().catch((error: unknown) => {
      if (!this.#over.signal.aborted) this.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#over.abort();
    this.#connection?.destroy();
    this.#listener.close().then(
      () => done(error),
      () => done(error),
    );
  }

  async #serve(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      const connection = await this.#listener.accept(signal);
      this.#pauses.connected();
      this.#connection = connection;
      this.#last = await this.#pass(connection);
      this.#connection = undefined;
      if (signal.aborted) return;
      if (this.#isRelayGone && this.#last === 'ended') {
        this.push(null);
        return;
      }
      // What the broken connection had taken is lost, so the next bytes do not continue its last line.
      if (this.#last === 'broken' && this.#lastByte !== newline) this.#give(Buffer.from('\n'));
      await this.#pauses.wait(signal);
    }
  }

  /** Resolves with the end of the connection. */
  #pass(connection: Duplex): Promise<ConnectionEnd> {
    const { promise, resolve } = Promise.withResolvers<ConnectionEnd>();
    connection.on('error', () => undefined);
    connection.once('close', () => resolve('broken'));
    connection.once('end', () => {
      resolve('ended');
      connection.destroy();
    });
    connection.on('data', (chunk: Buffer) => {
      if (!this.#give(chunk)) connection.pause();
    });
    return promise;
  }

  #give(bytes: Buffer): boolean {
    this.#lastByte = bytes.at(-1) ?? this.#lastByte;
    return this.push(bytes);
  }
}
