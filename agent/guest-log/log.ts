// The log of one VM's guest: numbers the lines, so that a reader takes each at most once, and keeps the few lines that
// the status shows. The file and standard output have all lines (`destinations.ts`).
import { type GuestLogSummary, limits } from '../../protocol/messages.ts';
import type { LogPosition } from '../../protocol/streams/messages.ts';
import { beginning } from '../../runtime/beginning.ts';
import { ownText } from '../guest/log/own-text.ts';

export interface GuestLogLine extends LogPosition {
  readonly text: string;
}

export class GuestLog {
  #boot: number;
  #next = 0;
  #head: string[];
  #tail: string[];
  #total: number;
  #dropped: number;

  constructor(boot: number, summary: GuestLogSummary) {
    this.#boot = boot;
    this.#head = [...summary.head];
    this.#tail = [...summary.tail];
    this.#total = summary.total;
    this.#dropped = summary.dropped;
  }

  /** Keeps the first lines of a boot: they explain how the boot went. */
  beginBoot(boot: number): void {
    this.#boot = boot;
    this.#next = 0;
    this.#head = [];
    this.#tail = [];
    this.#total = 0;
    this.#dropped = 0;
  }

  /** Continues the numbering of an earlier agent, which numbered the current boot's lines up to this position. */
  continueAfter({ boot, sequence }: LogPosition): void {
    if (boot === this.#boot) this.#next = sequence + 1;
  }

  /** The current boot, and its number of lines so far. */
  get now(): { readonly boot: number; readonly lines: number } {
    return { boot: this.#boot, lines: this.#next };
  }

  append(text: string): GuestLogLine {
    const shown = shorten(text, limits.statusLineChars);
    if (this.hasWholeHead) {
      this.#tail.push(shown);
      if (this.#tail.length > limits.logTailLines) this.#tail.shift();
    } else {
      this.#head.push(shown);
    }
    const line = { boot: this.#boot, sequence: this.#next, text: shorten(text, limits.logLineChars) };
    this.#total += 1;
    this.#next += 1;
    return line;
  }

  /** True when further lines alone are no reason to report the status again. */
  get hasWholeHead(): boolean {
    return this.#head.length >= limits.logHeadLines;
  }

  /** Counts lines that are lost: beyond a rate, or not taken by the file or by standard output. */
  countDropped(lines: number): void {
    this.#dropped += lines;
  }

  summary(): GuestLogSummary {
    return { head: [...this.#head], tail: [...this.#tail], total: this.#total, dropped: this.#dropped };
  }
}

/** Cuts a text, says how much was cut off, and splits no character. */
function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const kept = ownText(beginning(text, limit - 24), text);
  return `${kept}… (${text.length - kept.length} more)`;
}
