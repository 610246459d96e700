// The log of one VM's guest: the few lines that its status shows, and the queue of those still to be delivered. Lines
// carry (boot, sequence), so that a reader takes each at most once; what does not fit is dropped oldest first and counted.
import { type GuestLogSummary, type LogsMessage, limits } from '../protocol/messages.ts';
import type { LogPosition } from '../protocol/stream-messages.ts';
import { ownText } from './guest/own-text.ts';

interface QueuedLine extends LogPosition {
  readonly text: string;
}

/** Lines kept for delivery while the operator is away or slow. */
export const queueLines = 1024;
/** And characters of them: a line may have thousands. */
export const queueCharacters = 128 * 1024;

export class GuestLog {
  readonly #uid: string;
  #boot: number;
  #next = 0;
  #head: string[];
  #tail: string[];
  #total: number;
  #dropped: number;
  /** Lines that were sent and not acknowledged. */
  #inFlight: QueuedLine[] = [];
  /** Lines to be sent, from the index on: few are dropped with the others being moved. */
  #waiting: QueuedLine[] = [];
  #firstWaiting = 0;
  #queuedCharacters = 0;

  constructor(uid: string, boot: number, summary: GuestLogSummary) {
    this.#uid = uid;
    this.#boot = boot;
    this.#head = [...summary.head];
    this.#tail = [...summary.tail];
    this.#total = summary.total;
    this.#dropped = summary.dropped;
  }

  /** The first lines of a boot are kept, since they say why it went as it did. */
  beginBoot(boot: number): void {
    this.#boot = boot;
    this.#next = 0;
    this.#head = [];
    this.#tail = [];
    this.#total = 0;
    this.#dropped = 0;
  }

  /** The run that is still under way was followed by an earlier agent up to here. */
  continueAfter({ boot, sequence }: LogPosition): void {
    if (boot === this.#boot) this.#next = sequence + 1;
  }

  /** The run that lines belong to now, and how many it has had. */
  get now(): { readonly boot: number; readonly lines: number } {
    return { boot: this.#boot, lines: this.#next };
  }

  append(text: string): QueuedLine {
    const shown = shorten(text, limits.statusLineChars);
    if (this.#head.length < limits.logHeadLines) {
      this.#head.push(shown);
    } else {
      this.#tail.push(shown);
      if (this.#tail.length > limits.logTailLines) this.#tail.shift();
    }
    this.#total += 1;
    const line = { boot: this.#boot, sequence: this.#next, text: shorten(text, limits.logLineChars) };
    this.#waiting.push(line);
    this.#queuedCharacters += line.text.length;
    this.#next += 1;
    while (this.#isOverfull()) this.#dropFirst();
    return line;
  }

  #isOverfull(): boolean {
    const waiting = this.#waiting.length - this.#firstWaiting;
    const lines = this.#inFlight.length + waiting;
    return waiting > 0 && (lines > queueLines || this.#queuedCharacters > queueCharacters);
  }

  #dropFirst(): void {
    this.#queuedCharacters -= this.#waiting[this.#firstWaiting]?.text.length ?? 0;
    this.#removeFirst(1);
    this.#dropped += 1;
  }

  /** Counts lines that never became a line here, such as oversized ones. */
  countDropped(lines: number): void {
    this.#dropped += lines;
  }

  /** The lines that the status keeps of the boot are still coming in. */
  get bootBegins(): boolean {
    return this.#total <= limits.logHeadLines;
  }

  summary(): GuestLogSummary {
    return { head: [...this.#head], tail: [...this.#tail], total: this.#total, dropped: this.#dropped };
  }

  /** The next message of at most `room` lines, or undefined when there is nothing to send. Its lines are then in flight. */
  take(room: number): LogsMessage | undefined {
    const first = this.#waiting[this.#firstWaiting];
    const most = Math.min(room, limits.logLinesPerMessage);
    if (first === undefined || most <= 0) return undefined;
    const lines: string[] = [];
    for (const line of this.#waiting.slice(this.#firstWaiting, this.#firstWaiting + most)) {
      if (line.boot !== first.boot || line.sequence !== first.sequence + lines.length) break;
      lines.push(line.text);
      this.#inFlight.push(line);
    }
    this.#removeFirst(lines.length);
    return { type: 'logs', uid: this.#uid, boot: first.boot, first: first.sequence, lines, dropped: this.#dropped };
  }

  /** The operator has everything up to (boot, sequence). Returns how many lines that were in flight this settles. */
  acknowledge(boot: number, sequence: number): number {
    let settled = 0;
    for (const line of this.#inFlight) {
      if (line.boot > boot || (line.boot === boot && line.sequence > sequence)) break;
      settled += 1;
      this.#queuedCharacters -= line.text.length;
    }
    this.#inFlight.splice(0, settled);
    return settled;
  }

  /** The last message that `take` gave could not be sent: its lines are taken again. */
  giveBack(lines: number): void {
    const kept = Math.max(0, this.#inFlight.length - lines);
    this.#waiting = [...this.#inFlight.slice(kept), ...this.#waiting.slice(this.#firstWaiting)];
    this.#firstWaiting = 0;
    this.#inFlight.length = kept;
  }

  /** The connection is a new one: what was in flight is sent again. */
  rewind(): void {
    this.giveBack(this.#inFlight.length);
  }

  #removeFirst(lines: number): void {
    this.#firstWaiting += lines;
    if (2 * this.#firstWaiting < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#firstWaiting);
    this.#firstWaiting = 0;
  }
}

/** What is cut off is told, and no character is cut in two. */
function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const kept = ownText(text.slice(0, limit - 24).replace(/[\ud800-\udbff]$/, ''), text);
  return `${kept}… (${text.length - kept.length} more)`;
}
