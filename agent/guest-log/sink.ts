// Where the lines of one VM's guest are kept on the node.
import type { LogPosition } from '../../protocol/streams/messages.ts';
import type { LogFiles } from './reader.ts';

export interface GuestLogEvents {
  /** Lines that never reach it. */
  readonly onDropped: (lines: number) => void;
  /** It cannot be written; told once, until it can be again. */
  readonly onFailure: (error: Error) => void;
}

/** Takes lines without ever holding up the guest (`GuestLogFile`). */
export interface GuestLogSink extends LogFiles {
  append(line: string): void;
  /** Everything that was appended is kept, or counted. */
  flush(): Promise<void>;
  /** Of the last line that is kept, also of an earlier agent. */
  lastPosition(): Promise<LogPosition | undefined>;
}
