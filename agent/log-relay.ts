// Delivers the guests' log lines to the operator over one connection, within the window that the operator granted: so many
// lines may be on the way without an acknowledgement, and so many in a second: a guest that floods its log is followed over
// a stream, and must not be sent twice. Lines wait in the VMs' own bounded queues.
import { Allowance } from '../protocol/allowance.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LogsMessage } from '../protocol/messages.ts';
import type { GuestLog } from './guest-log.ts';

interface Source {
  readonly log: GuestLog;
  inFlight: number;
  /** May have lines that were not sent yet. */
  waiting: boolean;
}

const linesPerSecond = 10_000;

export class LogRelay {
  readonly #window: number;
  readonly #send: (message: LogsMessage) => boolean;
  readonly #sources = new Map<string, Source>();
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  #isPausing = false;
  #inFlight = 0;

  /** @param window lines in flight, 0 for none at all · @param send false when the connection takes no more just now */
  constructor(window: number, clock: Clock, send: (message: LogsMessage) => boolean) {
    this.#window = window;
    this.#clock = clock;
    this.#allowance = new Allowance(clock, linesPerSecond, linesPerSecond);
    this.#send = send;
  }

  /** The VM may have new lines. What an earlier connection had in flight is sent again. */
  offer(uid: string, log: GuestLog): void {
    if (this.#window === 0) return;
    const source = this.#sources.get(uid);
    if (source?.log === log) source.waiting = true;
    else this.#adopt(uid, log);
    this.#pump();
  }

  acknowledged(uid: string, boot: number, sequence: number): void {
    const source = this.#sources.get(uid);
    if (source === undefined) return;
    this.#settle(source, source.log.acknowledge(boot, sequence));
    this.#pump();
  }

  /** The VM is gone, and what it still had to say with it. */
  forget(uid: string): void {
    const source = this.#sources.get(uid);
    if (source === undefined) return;
    this.#sources.delete(uid);
    this.#settle(source, source.inFlight);
    this.#pump();
  }

  #adopt(uid: string, log: GuestLog): void {
    this.forget(uid);
    log.rewind();
    this.#sources.set(uid, { log, inFlight: 0, waiting: true });
  }

  #settle(source: Source, lines: number): void {
    source.inFlight -= lines;
    this.#inFlight -= lines;
  }

  #pump(): void {
    for (const source of this.#sources.values()) {
      if (!source.waiting) continue;
      const room = this.#window - this.#inFlight;
      if (this.#isPausing || room <= 0 || !this.#sendFrom(source, room)) return;
    }
  }

  /** False when the connection takes no more. One message a turn, so that a flood of one VM does not silence the others. */
  #sendFrom(source: Source, room: number): boolean {
    const message = source.log.take(room);
    if (message === undefined) {
      source.waiting = false;
      return true;
    }
    if (!this.#send(message)) {
      source.log.giveBack(message.lines.length);
      return false;
    }
    this.#settle(source, -message.lines.length);
    this.#pauseFor(this.#allowance.take(message.lines.length));
    return true;
  }

  #pauseFor(milliseconds: number): void {
    if (milliseconds === 0) return;
    this.#isPausing = true;
    this.#clock.after(milliseconds, () => {
      this.#isPausing = false;
      this.#pump();
    });
  }
}
