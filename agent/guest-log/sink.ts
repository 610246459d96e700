// Keeps the log lines of one VM's guest on the node.
import type { LogPosition } from '../../protocol/streams/messages.ts';
import type { LogFiles } from './reader.ts';

export interface GuestLogEvents {
  /** Receives the number of lines that the sink never gets. */
  readonly onDropped: (lines: number) => void;
  /** The sink cannot be written. Called once until writing works again. */
  readonly onFailure: (error: Error) => void;
}

/** Takes lines without ever blocking the guest (`GuestLogFile`). */
export interface GuestLogSink extends LogFiles {
  append(line: string): void;
  /** Resolves when every appended line is kept or counted as dropped. */
  flush(): Promise<void>;
  /** Position of the last line that is kept, also when an earlier agent wrote it. */
  lastPosition(): Promise<LogPosition | undefined>;
}
