// Where the lines of one VM's guest go: the excerpt that the status shows, the file on the node, and the records for
// collectors of logs.
import type { Assignment } from '../../protocol/messages.ts';
import { logLine } from '../guest/log/line.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import type { GuestLog } from './log.ts';
import type { GuestRecordWriter } from './output.ts';
import type { GuestLogSink } from './sink.ts';

export interface MachineLogPorts {
  readonly uid: string;
  readonly log: GuestLog;
  /** The lines on the node. */
  readonly sink: GuestLogSink;
  /** Absent: no collector takes records. */
  readonly output: GuestRecordWriter | undefined;
  /** The lines that the status keeps of the boot are still coming in. */
  readonly headChanged: () => void;
}

export class MachineLog {
  readonly #ports: MachineLogPorts;

  constructor(ports: MachineLogPorts) {
    this.#ports = ports;
  }

  /** Records that did not come over the guest's own connection. */
  tell(records: readonly GuestLogRecord[], assignment: Assignment | undefined): void {
    this.tellRecords(records, assignment);
    this.tellLines(records.map(logLine));
  }

  tellLines(lines: readonly string[]): void {
    const { headChanged, log, sink } = this.#ports;
    const isNews = lines.length > 0 && !log.hasWholeHead;
    for (const line of lines) {
      const { boot, sequence, text } = log.append(line);
      sink.append(`${boot}.${sequence} ${text}`);
    }
    if (isNews) headChanged();
  }

  tellRecords(records: readonly GuestLogRecord[], assignment: Assignment | undefined): void {
    if (assignment === undefined) return;
    const { namespace, name } = assignment;
    this.#ports.output?.(records, { namespace, name, uid: this.#ports.uid });
  }
}
