// The ports of a VM's state machine: everything outside of it that it uses. A test can replace each of them.
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
import type { WantedShare } from '../preparation/paths/share-names.ts';
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
  /** The reservations of all VMs of the host. */
  readonly reservations: Reservations;
  readonly timeouts: Timeouts;
  readonly logger: Logger;
  /** Absent when nothing is counted. */
  readonly tally?: AgentTally;
  /** Identifies this agent process. */
  readonly agentBootID: string;
  /** When the host started, in milliseconds since the epoch. */
  readonly hostStartedAt: number;
  /** Opens the file on the node that keeps the lines of a guest. Its events report the number of lost lines. */
  readonly openGuestLog: (uid: string, events: GuestLogEvents) => GuestLogSink;
  /** Opens the output for log collectors and reports lost records. Absent when there is no such output. */
  readonly openGuestOutput?: (uid: string, onDropped: (lines: number) => void) => GuestRecordWriter;
  /** Decides whose log is read next. Absent: each guest's log is read as it arrives. */
  readonly logTurns?: LogTurns | undefined;
  /** Limits how much one guest may log. Absent: no limit. */
  readonly guestLogRate?: LogRate | undefined;
  /** Absent when the agent keeps no documents. */
  readonly sentDocuments?: SentDocuments;
  /** Makes the plan of a boot and changes nothing. Rejects with a `MachineFailure`. */
  readonly prepare: (assignment: Assignment) => Promise<BootPlan>;
  /** Throws a `MachineFailure` for a CPU group that a VM of this host may not join. */
  readonly admitGroup: (cpuGroupID: string) => void;
  /** Checks a disk right before it is attached. Rejects with a `MachineFailure`. */
  readonly admitDisk: (assignment: Assignment, disk: WantedDisk) => Promise<AdmittedDisk>;
  /** Checks a share right before it is added. Resolves with its folder’s final path; rejects with a `MachineFailure`. */
  readonly admitShare: (assignment: Assignment, share: WantedShare) => Promise<string>;
}
