// Where the lines of one VM's guest go: the log that the operator is told of, the file on the node, and the records for
// collectors of logs.
import type { Assignment } from '../protocol/messages.ts';
import type { GuestLogRecord } from './guest/log-record.ts';
import type { GuestLog } from './guest-log.ts';
import type { GuestRecordWriter } from './guest-log-output.ts';
import { logLine } from './log-line.ts';
import type { GuestLogSink } from './machine-ports.ts';

export interface MachineLogPorts {
  readonly uid: string;
  readonly log: GuestLog;
  /** The lines on the node. */
  readonly sink: GuestLogSink;
  /** Absent: no collector takes records. */
  readonly output: GuestRecordWriter | undefined;
  readonly logged: () => void;
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
    const { log, logged, sink } = this.#ports;
    for (const line of lines) {
      const { boot, sequence, text } = log.append(line);
      sink.append(`${boot}.${sequence} ${text}`);
      if (log.bootBegins) logged();
    }
    logged();
  }

  tellRecords(records: readonly GuestLogRecord[], assignment: Assignment | undefined): void {
    if (assignment === undefined) return;
    const { namespace, name } = assignment;
    this.#ports.output?.(records, { namespace, name, uid: this.#ports.uid });
  }
}
