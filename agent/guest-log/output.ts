// The lines of all guests as JSON on the agent's standard output, where log collectors take them (`entry.ts` has
// the form). It never holds up a guest: each has a rate, what standard output does not take waits within a bound, and
// what is beyond either is counted and told there. The log itself, for the status and whoever follows it, is apart.
import type { Clock } from '../../runtime/clock.ts';
import { plainJson } from '../../runtime/plain-text.ts';
import { LogLimiter, type LogRate } from '../guest/log/limiter.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import { type GuestLogSource, guestLogEntry } from './entry.ts';

/** A stream that says when it had better be given no more (`Writable`, and what pino writes to). */
export interface LineDestination {
  /** False: wait for `drain`. */
  write(text: string): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface GuestLogOutputOptions {
  readonly destination: LineDestination;
  readonly clock: Clock;
  /** Of each guest. */
  readonly rate: LogRate;
  /** Characters that wait for the destination. */
  readonly maxWaiting?: number;
}

/** Takes the records of one guest that came at once. Never waits and never fails. */
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

  /** Lines that the destination did not take; those beyond a guest's rate are told among its own lines. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param onDropped is told of lines of this guest that are not written, for whatever reason */
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
      // All at once, as far as a destination wants it: a call for each line would cost more than the line.
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

  /** Comes after the lines that were still kept. */
  #notice(): string {
    const notice = { source: 'agent', level: 'warning', msg: tooSlow, dropped: this.#untold };
    this.#untold = 0;
    return JSON.stringify(notice);
  }
}
