// Everything outside of itself that a VM's state machine touches, so that a test can stand in for any of it.
import type { Logger } from 'pino';
import type { Assignment } from '../../protocol/messages.ts';
import type { Clock, Random } from '../../runtime/clock.ts';
import type { Timeouts } from '../bounds/timeouts.ts';
import type { LogRate } from '../guest/log/limiter.ts';
import type { LogTurns } from '../guest/log/turns.ts';
import type { GuestRecordWriter } from '../guest-log/output.ts';
import type { GuestLogEvents, GuestLogSink } from '../guest-log/sink.ts';
import type { AgentTally } from '../metrics/tally.ts';
import type { HcsBackend } from '../node/backend.ts';
import type { GuestSockets } from '../node/guest-sockets.ts';
import type { WindowsHost } from '../node/host.ts';
import type { AdmittedDisk, WantedDisk } from '../preparation/paths/admission.ts';
import type { BootPlan } from '../preparation/plan.ts';
import type { SentDocuments } from '../storage/sent-documents.ts';
import type { Journal } from './journal.ts';
import type { Reservations } from './reservations.ts';

export interface VirtualMachinePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly backend: HcsBackend;
  readonly host: WindowsHost;
  readonly sockets: GuestSockets;
  readonly journal: Journal;
  /** Of all VMs of the host. */
  readonly reservations: Reservations;
  readonly timeouts: Timeouts;
  readonly logger: Logger;
  /** Absent: nobody counts. */
  readonly tally?: AgentTally;
  /** Of this agent process. */
  readonly agentBootID: string;
  /** Where the lines of a VM's guest are kept on the node; says how many of them are lost. */
  readonly openGuestLog: (uid: string, events: GuestLogEvents) => GuestLogSink;
  /** Where the records of a VM's guest go for collectors of logs; says how many of them are lost. Absent: nowhere. */
  readonly openGuestOutput?: (uid: string, onDropped: (lines: number) => void) => GuestRecordWriter;
  /** When which guest's log is read on. Absent: each guest's as it comes. */
  readonly logTurns?: LogTurns | undefined;
  /** What one guest may log at all. Absent: as much as is taken from it. */
  readonly guestLogRate?: LogRate | undefined;
  /** Absent: documents are not kept. */
  readonly sentDocuments?: SentDocuments;
  /** Works out how to boot; touches nothing. Rejects with a `MachineFailure`. */
  readonly prepare: (assignment: Assignment) => Promise<BootPlan>;
  /** Throws a `MachineFailure` for a CPU group that a VM of this host may not join. */
  readonly admitGroup: (cpuGroupID: string) => void;
  /** Looks at a disk right before it is attached. Rejects with a `MachineFailure`. */
  readonly admitDisk: (assignment: Assignment, disk: WantedDisk) => Promise<AdmittedDisk>;
}
