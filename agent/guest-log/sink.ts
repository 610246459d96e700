// Where the lines of one VM's guest are kept on the node.
import type { LogPosition } from '../../protocol/streams/messages.ts';
import type { LogFiles } from './reader.ts';

/** Takes lines without ever holding up the guest (`GuestLogFile`). */
export interface GuestLogSink extends LogFiles {
  append(line: string): void;
  /** Everything that was appended is kept, or counted. */
  flush(): Promise<void>;
  /** Of the last line that is kept, also of an earlier agent. */
  lastPosition(): Promise<LogPosition | undefined>;
}
