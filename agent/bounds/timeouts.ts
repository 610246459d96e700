// Every bound and delay of the agent, in milliseconds. Each can be overridden for a test; users set `bootTimeout` only.

export interface Timeouts {
  /** Entropy, log connection, HCS start, bridge negotiation and security policy together (hcs-runtime A.7: 2 min). */
  readonly bootTimeout: number;
  /** HcsCreateComputeSystem (hcs-runtime A.7). */
  readonly create: number;
  /** Opening a system, reading its properties, enumerating: local look-ups. */
  readonly query: number;
  /** Submitting a terminate request; the exit itself is awaited apart. */
  readonly terminate: number;
  /** From a terminate request until the system is seen to have stopped; then the request is made again. */
  readonly exit: number;
  /** From the exit of a system until calls on it that have not come back are not waited for any longer. */
  readonly lateCall: number;
  /** Until the log connection of an ended VM has been read to its end. */
  readonly drainLogs: number;
  /** Changing a running VM: what takes longer is waited for in the background, and the VM can be stopped meanwhile. */
  readonly modify: number;
  /** Between two attempts to change a running VM; each failure in a row doubles it, up to `backOffMaximum`. */
  readonly changeRetry: number;
  /** Until the guest has answered a change; then it goes on without us. */
  readonly guestChange: number;
  /** Until the guest has told what is at a mount path. */
  readonly mountLook: number;
  /** Until processes in the guest have ended that were sent TERM, and again for KILL. */
  readonly leaveProcesses: number;
  /** Unmounting all disks of a VM that is stopped, and writing those that cannot be unmounted. */
  readonly leaveDisks: number;
  /** The same of a guest that has left an earlier request unanswered. */
  readonly leaveOverdue: number;
  /** From taking over a VM of an earlier agent until its guest has connected to this one; a stop waits for it. */
  readonly guestReconnect: number;
  /** Until the VMs that end with their agent have been stopped; then the agent ends all the same. */
  readonly agentEnd: number;
  /** Closing a handle. */
  readonly closeHandle: number;
  /** Copying or deleting one boot file. */
  readonly copy: number;
  /** Between two attempts of a stop or clean-up that failed. */
  readonly cleanUpRetry: number;
  /** Between two attempts to write a journal that cannot be written. */
  readonly journalRetry: number;
  /** Unit of the restart back-off: after n failures in a row `unit × n²`, jittered down by up to half. */
  readonly backOffUnit: number;
  readonly backOffMaximum: number;
  /** A VM that has run this long starts counting its failures from zero. */
  readonly backOffReset: number;
  /** From the enumeration at the start until what was found is told, also of VMs that are still being looked at. */
  readonly recovery: number;
  /** How often the state of a running VM is read, in case its exit event was lost. */
  readonly liveness: number;
  /** For giving back the node when the agent ends, and for the VMs when the compute service went away. */
  readonly leave: number;
  /** Between two attempts to enumerate HCS when it refuses. */
  readonly enumerateRetry: number;
}

const second = 1_000;
const minute = 60 * second;

export const defaultTimeouts: Timeouts = {
  bootTimeout: 2 * minute,
  create: 4 * minute,
  query: 30 * second,
  terminate: 30 * second,
  exit: 30 * second,
  lateCall: second,
  drainLogs: 5 * second,
  modify: 30 * second,
  changeRetry: 15 * second,
  guestChange: 30 * second,
  mountLook: 5 * second,
  leaveProcesses: 2 * second,
  leaveDisks: 10 * second,
  leaveOverdue: 2 * second,
  guestReconnect: 5 * second,
  agentEnd: 40 * second,
  closeHandle: 30 * second,
  copy: 4 * minute,
  cleanUpRetry: 15 * second,
  journalRetry: 5 * second,
  backOffUnit: 10 * second,
  backOffMaximum: 5 * minute,
  backOffReset: 10 * minute,
  recovery: 5 * second,
  liveness: 30 * second,
  leave: 5 * second,
  enumerateRetry: 5 * second,
};

/** What a planned stop may do for a guest before its VM is terminated, in milliseconds (`stop-ladder.ts`). */
export function longestLadder({ guestReconnect, leaveDisks, leaveProcesses }: Timeouts): number {
  // Each signal is asked for, and then awaited.
  return guestReconnect + 4 * leaveProcesses + leaveDisks;
}
