// Limits the rate of one guest's log, so that a guest that writes without end does not take the node's time from the
// others. Records beyond the rate are dropped and counted. A record in the log reports the gap once the rate allows it.
import type { Clock } from '../../../runtime/clock.ts';
import type { GuestLogRecord } from './record.ts';

export interface LogRate {
  /** Records a second, on average. */
  readonly recordsPerSecond: number;
  /** Records that may come at once after a quiet time. */
  readonly burst: number;
}

const none: readonly GuestLogRecord[] = [];

export class LogLimiter {
  readonly #rate: LogRate;
  readonly #clock: Clock;
  readonly #vmId: string;
  readonly #notice: string;
  #tokens: number;
  #filledAt: number;
  #droppedNow = 0;
  #dropped = 0;

  /** @param notice the message of the record that reports a gap */
  constructor(
    rate: LogRate,
    clock: Clock,
    vmId: string,
    notice = 'guest log records dropped: the guest writes too fast',
  ) {
    this.#rate = rate;
    this.#clock = clock;
    this.#vmId = vmId;
    this.#notice = notice;
    this.#tokens = rate.burst;
    this.#filledAt = clock.now();
  }

  /** The number of all records dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The records that the rate allows. The first of them after a gap is preceded by a record that reports the gap. */
  admit(records: readonly GuestLogRecord[]): readonly GuestLogRecord[] {
    this.#refill();
    const room = Math.floor(this.#tokens);
    if (room === 0) {
      this.#drop(records.length);
      return none;
    }
    const admitted = records.slice(0, room);
    this.#tokens -= admitted.length;
    const notice = admitted.length > 0 ? this.end() : [];
    this.#drop(records.length - admitted.length);
    return [...notice, ...admitted];
  }

  /** The log is over: reports records that were dropped since the last report. */
  end(): readonly GuestLogRecord[] {
    if (this.#droppedNow === 0) return [];
    const count = this.#droppedNow;
    this.#droppedNow = 0;
    const fields = { 'uvm-id': this.#vmId, dropped: count };
    return [{ level: 'warning', message: this.#notice, fields }];
  }

  #drop(records: number): void {
    this.#droppedNow += records;
    this.#dropped += records;
  }

  #refill(): void {
    const now = this.#clock.now();
    const { burst, recordsPerSecond } = this.#rate;
    const gained = (Math.max(0, now - this.#filledAt) / 1000) * recordsPerSecond;
    this.#tokens = Math.min(burst, this.#tokens + gained);
    this.#filledAt = now;
  }
}
