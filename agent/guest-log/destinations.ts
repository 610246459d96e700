// Distributes the log lines of one VM's guest: to the excerpt in the status, to the file on the node, and as records to
// log collectors.
import type { Assignment } from '../../protocol/messages.ts';
import { logLine } from '../guest/log/line.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import type { GuestLog } from './log.ts';
import type { GuestRecordWriter } from './output.ts';
import type { GuestLogSink } from './sink.ts';

export interface DestinationPorts {
  readonly uid: string;
  readonly log: GuestLog;
  /** Where the node keeps the lines. */
  readonly sink: GuestLogSink;
  /** Absent: no collector receives records. */
  readonly output: GuestRecordWriter | undefined;
  /** The lines of this boot that the status keeps have changed. */
  readonly headChanged: () => void;
}

export class GuestLogDestinations {
  readonly #ports: DestinationPorts;

  constructor(ports: DestinationPorts) {
    this.#ports = ports;
  }

  /** Takes records that did not come over the guest's own connection. */
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
