// Everything outside of itself that a VM's state machine touches, so that a test can stand in for any of it.
import type { Logger } from 'pino';
import type { Clock, Random } from '../protocol/clock.ts';
import type { Assignment } from '../protocol/messages.ts';
import type { GuestSockets } from './guest/sockets.ts';
import type { HcsBackend } from './hcs/backend.ts';
import type { Journal } from './journal.ts';
import type { BootPlan } from './plan.ts';
import type { Timeouts } from './timeouts.ts';
import type { WindowsHost } from './windows-host.ts';

/** Takes lines without ever holding up the guest (`GuestLogFile`). */
export interface GuestLogSink {
  append(line: string): void;
  /** Everything that was appended is kept, or counted. */
  flush(): Promise<void>;
}

export interface MachinePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly backend: HcsBackend;
  readonly host: WindowsHost;
  readonly sockets: GuestSockets;
  readonly journal: Journal;
  readonly timeouts: Timeouts;
  readonly logger: Logger;
  /** Of this agent process. */
  readonly agentBootID: string;
  /** Where the lines of a VM's guest are kept on the node. */
  readonly openGuestLog: (uid: string) => GuestLogSink;
  /** Works out how to boot; touches nothing. Rejects with a `MachineFailure`. */
  readonly prepare: (assignment: Assignment) => Promise<BootPlan>;
}
