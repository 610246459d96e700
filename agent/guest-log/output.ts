// Writes the lines of all guests as JSON to the agent's standard output, where log collectors read them (`entry.ts` has
// the format). Writing never blocks a guest: each guest has a rate, lines that wait for standard output are bounded,
// and lines beyond either limit are counted and reported in the output. The guest's log for the status and for readers
// is separate.
import type { Clock } from '../../runtime/clock.ts';
import { plainJson } from '../../runtime/plain-text.ts';
import { LogLimiter, type LogRate } from '../guest/log/limiter.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import { type GuestLogSource, guestLogEntry } from './entry.ts';

/** A stream that signals when it is full (`Writable`, and pino's destinations). */
export interface LineDestination {
  /** False: wait for `drain` before writing more. */
  write(text: string): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface GuestLogOutputOptions {
  readonly destination: LineDestination;
  readonly clock: Clock;
  /** The rate of each guest. */
  readonly rate: LogRate;
  /** Most characters that wait for the destination. */
  readonly maxWaiting?: number;
}

/** Takes a batch of records of one guest. Never waits and never fails. */
export type GuestRecordWriter = (records: readonly GuestLogRecord[], source: GuestLogSource) => void;

const tooFast = 'lines of this guest are not written here: it writes too fast';
const tooSlow = 'lines of guests are not written here: standard output did not take them';

export class GuestLogOutput {
  readonly #options: GuestLogOutputOptions;
  readonly #maxWaiting: number;
  #waiting: string[] = [];
  #waitingLength = 0;
  #isFull = false;
  #untold = 0;
  #dropped = 0;

  constructor(options: GuestLogOutputOptions) {
    this.#options = options;
    this.#maxWaiting = options.maxWaiting ?? 4 << 20;
  }

  /**
   * Number of lines that the destination did not take. Lines beyond a guest's rate are reported among that guest's
   * lines.
   */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param onDropped receives the number of lines of this guest that are not written, for whatever reason */
  writerOf(uid: string, onDropped: (lines: number) => void): GuestRecordWriter {
    const { clock, rate } = this.#options;
    const limiter = new LogLimiter(rate, clock, uid, tooFast);
    const lost = () => limiter.dropped + this.#dropped;
    return (records, source) => {
      const before = lost();
      for (const each of limiter.admit(records)) this.#offer(guestLogEntry(each, source));
      const dropped = lost() - before;
      if (dropped > 0) onDropped(dropped);
      this.#pump();
    };
  }

  #offer(line: string): void {
    if (this.#waitingLength + line.length > this.#maxWaiting) {
      this.#untold += 1;
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingLength += line.length;
  }

  #pump(): void {
    while (!this.#isFull && this.#waiting.length > 0) {
      // One write for all lines, as far as the destination accepts it: a call for each line would cost more than the
      // line.
      const lines = this.#untold > 0 ? [...this.#waiting, this.#notice()] : this.#waiting;
      this.#waiting = [];
      this.#waitingLength = 0;
      if (this.#options.destination.write(`${plainJson(lines.join('\n'))}\n`)) continue;
      this.#isFull = true;
      this.#options.destination.once('drain', () => {
        this.#isFull = false;
        this.#pump();
      });
    }
  }

  /** Reports dropped lines, after the lines that were kept. */
  #notice(): string {
    const notice = { source: 'agent', level: 'warning', msg: tooSlow, dropped: this.#untold };
    this.#untold = 0;
    return JSON.stringify(notice);
  }
}
