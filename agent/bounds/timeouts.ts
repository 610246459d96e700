// Every bound and delay of the agent, in milliseconds. `Timeouts` are those of a VM's life, `LinkTimes` those of the connection
// to the operator: tests set others, and users set `bootTimeout`. Nobody sets `fixedTimes` otherwise.

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

/** How long a planned stop may take care of a guest before its VM is terminated (`stop-ladder.ts`). */
export function longestLadder({ guestReconnect, leaveDisks, leaveProcesses }: Timeouts): number {
  // Each signal is asked for, and then awaited.
  return guestReconnect + 4 * leaveProcesses + leaveDisks;
}

export interface LinkTimes {
  /** The longest pause after one failed attempt to connect; each further one doubles it, up to `lastRetry`. */
  readonly firstRetry: number;
  readonly lastRetry: number;
  /**
   * A session this old starts the retries from the beginning: when its replica dies, another one leads within 11 s, and this
   * agent's VMs wait for it until then, not for as long as their first connection had been tried.
   */
  readonly healthy: number;
  /** After so long a connection is replaced by a new one. */
  readonly renewal: number;
  /** For how long at most open streams hold a renewal up. */
  readonly streams: number;
  /**
   * From the open socket to the operator's `welcome`: a whole fleet that dials at once waits in line for it. An operator
   * that died meanwhile is noticed by its pings.
   */
  readonly welcome: number;
}

export const defaultLinkTimes: LinkTimes = {
  firstRetry: 500,
  lastRetry: 30 * second,
  healthy: 5 * second,
  renewal: 30 * minute,
  streams: 24 * 60 * minute,
  welcome: 2 * minute,
};

export const fixedTimes = {
  guest: {
    /** A request over the bridge whose caller sets no other limit; then the bridge is given up (hcs-runtime A.7). */
    request: 5 * minute,
    /** The streams of a new process: a guest dials before it answers, so what is still to come then is our own accepting. */
    processStreams: 10 * second,
    /** Slices of guests' logs are read for so long before everything else has its turn. */
    logTurn: 2,
  },
  run: {
    /** Before a guest's next connection is taken; each that ends soon doubles it. */
    redialPause: 100,
    redialPauseMaximum: 5 * second,
    /** A connection that lasted so long did not end soon. */
    redialReset: 10 * second,
  },
  vm: {
    /** Until HCS has said whether a VM that is being stopped is paused. */
    pausedLook: second,
    /** Between two looks whether the kernel has made the file systems read-only. */
    readOnlyLook: 50,
    /** Before a folder that somebody reads is deleted again; each attempt adds as much. */
    removalRetry: 35,
  },
  storage: {
    /** Between two attempts to become the only agent of the node. */
    lockRetry: second,
    /** Between the attempts to rename a file that somebody has open. */
    renameRetries: [10, 20, 40, 80, 150, 300, 400],
  },
  streams: {
    /** Without a byte of output, after a process has ended. */
    lingering: 2 * second,
    /** Until a process whose user has gone has been signalled. */
    hangUp: 10 * second,
  },
  link: {
    /** A replica that takes longer is frozen, or its node is: another one is asked. */
    handshake: 5 * second,
    /** Before another replica is asked: alternately almost at once and within a second. */
    standbyPauses: [
      { least: 20, spread: 60 },
      { least: 400, spread: 600 },
    ],
    /** Between two pings of the operator, until its `welcome` says otherwise. */
    firstHeartbeat: 10 * second,
    /** Changes of one VM within this time become one message. */
    coalescing: 50,
  },
  metrics: {
    /** Until the request of a probe or a scrape has come. */
    request: 5 * second,
    /** HCS is not asked again about the use of a VM. */
    usageFresh: 5 * second,
    /** A scrape waits for HCS. */
    usagePatience: 3 * second,
  },
  windows: {
    /** Before a console's pipe is opened again. */
    consoleRetry: 100,
    /** After an exit that is the guest's doing, until the text of its panic has come. */
    crashLog: 2 * second,
    /** After an exit, until calls that are under way on the system are given up. */
    callsAfterExit: second,
    /** A wake-up of the sockets' thread that was lost is made up for. */
    pumpSleep: 250,
    /** A socket about which nothing can be done is left out. */
    pumpRest: 10,
    /** Closing the compute service, whose calls may hang. */
    close: 30 * second,
  },
  program: {
    /** For what is left to do when the VMs have been stopped, before Windows ends the agent. */
    closing: 15 * second,
    /** A call that hangs in the compute service would keep the process. */
    exit: 2 * second,
  },
  doctor: {
    check: minute,
    connect: 5 * second,
    /** Another program that is asked. */
    program: 20 * second,
  },
} as const;
