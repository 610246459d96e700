// The output of a VM's process on its way to the guest's log. Nothing is dropped here: while the log cannot take more,
// the sockets are not read, and the process waits.
import type { Readable } from 'node:stream';
import { type Clock, delay } from '../../../runtime/clock.ts';
import { buffersPass } from '../../../runtime/passing-buffers.ts';
import { within } from '../../bounds/bounded.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import type { LogRate } from '../../guest/log/limiter.ts';
import { PlainLines } from '../../guest/log/plain-lines.ts';
import { LogSource } from '../../guest/log/source.ts';
import { LogTurns } from '../../guest/log/turns.ts';

export type OutputName = 'stdout' | 'stderr';

export interface ProcessOutputPorts {
  readonly clock: Clock;
  /** Shared by all guests of the host. */
  readonly turns?: LogTurns | undefined;
  /** Lines beyond it wait. Absent: no limit. */
  readonly rate?: LogRate | undefined;
  readonly onLines: (lines: readonly string[], from: OutputName) => void;
  /** Resolves when the log has taken all lines so far. */
  readonly flushed: () => Promise<void>;
}

/** The log takes this much at once, even when other guests have used up what waits for the disk. */
const slice = { bytes: 8 * 1024, lines: 128 } as const;

export class ProcessOutput {
  readonly #ports: ProcessOutputPorts;
  readonly #streams: readonly Readable[];
  readonly #read: Promise<unknown>;
  #hasSpoken = false;
  /** Lines that the rate allows at the moment; below zero, the next lines wait. */
  #allowed: number;
  #filledAt: number;

  /** @param streams those that the guest has connected */
  constructor(streams: Readonly<Partial<Record<OutputName, Readable | undefined>>>, ports: ProcessOutputPorts) {
    this.#ports = ports;
    this.#allowed = ports.rate?.burst ?? 0;
    this.#filledAt = ports.clock.now();
    const named = (['stdout', 'stderr'] as const).flatMap((name) => {
      const stream = streams[name];
      return stream === undefined ? [] : [{ name, stream }];
    });
    this.#streams = named.map(({ stream }) => stream);
    this.#read = Promise.all(named.map(({ name, stream }) => this.#readOne(stream, name)));
    this.#read.catch(() => undefined);
  }

  /**
   * Resolves when everything was read. A program that outlives the process may keep the streams open: then output counts
   * as complete after a time of silence, or after a longer time in any case. Call this after the end of the process.
   */
  async drained(): Promise<void> {
    const { clock } = this.#ports;
    const end = clock.now() + fixedTimes.vm.processOutput;
    do {
      this.#hasSpoken = false;
      if ((await within(clock, fixedTimes.streams.lingering, this.#read)) !== 'waiting') break;
    } while (this.#hasSpoken && clock.now() < end);
    this.close();
  }

  close(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  async #readOne(stream: Readable, name: OutputName): Promise<void> {
    const { flushed, turns = new LogTurns() } = this.#ports;
    const source = new LogSource(stream);
    const text = new PlainLines();
    try {
      for (;;) {
        const next = await source.next(slice.bytes);
        const isOver = !(next instanceof Uint8Array);
        if (!isOver) buffersPass(next.length);
        this.#hasSpoken = true;
        const lines = isOver ? text.end() : text.add(next);
        for (let first = 0; first < lines.length; first += slice.lines) {
          const some = lines.slice(first, first + slice.lines);
          await turns.take(() => this.#ports.onLines(some, name));
          await flushed();
          await this.#pass(some.length);
          this.#hasSpoken = true;
        }
        if (isOver) return;
      }
    } finally {
      stream.destroy();
    }
  }

  /** Waits until the rate allows further lines. */
  async #pass(lines: number): Promise<void> {
    const { clock, rate } = this.#ports;
    if (rate === undefined) return;
    const now = clock.now();
    const gained = (Math.max(0, now - this.#filledAt) / 1000) * rate.recordsPerSecond;
    this.#allowed = Math.min(rate.burst, this.#allowed + gained) - lines;
    this.#filledAt = now;
    if (this.#allowed < 0) await delay(clock, (-this.#allowed / rate.recordsPerSecond) * 1000);
  }
}
