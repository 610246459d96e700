// Collects how a system ended from several events (hcs-runtime A.2): a guest's panic text comes with the crash events,
// before or after the exit. If the guest caused the exit, the report waits for the text, within a bound.
import { fixedTimes } from '../../bounds/timeouts.ts';
import type { SystemExit } from '../../node/backend.ts';
import { isOfGuest, parseCrashLog } from './documents.ts';

export class ExitReport {
  readonly #settle: (exit: SystemExit) => void;
  #hasCrashed = false;
  #crashLog: string | undefined;
  #exit: SystemExit | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(settle: (exit: SystemExit) => void) {
    this.#settle = settle;
  }

  /** Takes a SystemCrashInitiated or SystemCrashReport. The last text counts. */
  crashed(document: string | undefined): void {
    this.#hasCrashed = true;
    this.#crashLog = parseCrashLog(document) ?? this.#crashLog;
    if (this.#crashLog !== undefined) this.flush();
  }

  /** Takes an exit. The first one counts. */
  exited(exit: SystemExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    const isCrash = this.#hasCrashed || isOfGuest(exit);
    if (!isCrash || this.#crashLog !== undefined) this.flush();
    else this.#timer = setTimeout(() => this.flush(), fixedTimes.windows.crashLog);
  }

  /** No more events will come: reports a known exit as it is. */
  flush(): void {
    if (this.#exit === undefined) return;
    clearTimeout(this.#timer);
    const { crashLog: _, ...exit } = this.#exit;
    this.#settle(this.#crashLog === undefined ? exit : { ...exit, crashLog: this.#crashLog });
  }
}
