// Follows the log lines of one session: what arrives twice is told apart from what is new, and what never arrived is counted.
import { type LogsMessage, limits } from '../../protocol/messages.ts';

export interface LogTally {
  /** New lines of this message. */
  readonly lines: readonly string[];
  /** Lines that the agent says it dropped, since its last message. */
  readonly dropped: number;
  /** Sequence numbers that were skipped without having been told as dropped. */
  readonly missing: number;
}

interface Position {
  readonly boot: number;
  readonly next: number;
  readonly dropped: number;
}

export class GuestLogs {
  readonly #positions = new Map<string, Position>();

  take({ uid, boot, first, lines, dropped }: LogsMessage): LogTally {
    const known = this.#positions.get(uid);
    const before =
      known?.boot === boot
        ? known
        : { boot, next: known === undefined ? first : 0, dropped: known === undefined ? dropped : 0 };
    const next = Math.max(before.next, first + lines.length);
    this.#positions.set(uid, { boot, next, dropped: Math.max(before.dropped, dropped) });
    this.#bound();
    const newlyDropped = Math.max(0, dropped - before.dropped);
    return {
      lines: lines.slice(Math.max(0, before.next - first)),
      dropped: newlyDropped,
      missing: Math.max(0, first - before.next - newlyDropped),
    };
  }

  forget(uid: string): void {
    this.#positions.delete(uid);
  }

  #bound(): void {
    for (const uid of this.#positions.keys()) {
      if (this.#positions.size <= limits.virtualMachinesPerHost) return;
      this.#positions.delete(uid);
    }
  }
}
