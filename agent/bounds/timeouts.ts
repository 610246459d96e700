// Every bound and delay of the agent, in milliseconds. `Timeouts` belong to the life of a VM and `LinkTimes` to the
// connection to the operator: tests set others, and users set `bootTimeout`. `fixedTimes` are the same everywhere.

export interface Timeouts {
  /** Entropy, log connection, HCS start, bridge negotiation and security policy together (hcs-runtime A.7: 2 min). */
  readonly bootTimeout: number;
  /** HcsCreateComputeSystem (hcs-runtime A.7). */
  readonly create: number;
  /** Opening a system, reading its properties, enumerating: local look-ups. */
  readonly query: number;
  /**
   * Looking at the facts and files of the host before a boot or a change of disks. Such a look changes nothing, so it is
   * given up.
   */
  readonly lookUp: number;
  /** Submitting a terminate request. `exit` bounds the wait for the exit itself. */
  readonly terminate: number;
  /** From a terminate request until HCS reports that the system stopped. After that the request is repeated. */
  readonly exit: number;
  /** From the exit of a system until the agent gives up calls on it that have not returned. */
  readonly lateCall: number;
  /** Reading the rest of an ended VM's log connection. */
  readonly drainLogs: number;
  /** Changing a running VM. A longer change continues in the background, and the VM can be stopped meanwhile. */
  readonly modify: number;
  /**
   * Pause before a failed change of a running VM is tried again. Each consecutive failure doubles it, up to
   * `backOffMaximum`.
   */
  readonly changeRetry: number;
  /** Waiting for the guest to answer a change. After that the change continues unattended. */
  readonly guestChange: number;
  /** Waiting for the guest to report what is at a mount path. */
  readonly mountLook: number;
  /** Waiting for processes in the guest to end after TERM, and again after KILL. */
  readonly leaveProcesses: number;
  /** Unmounting all disks of a VM that is being stopped, and syncing those that cannot be unmounted. */
  readonly leaveDisks: number;
  /** The same, for a guest that has not answered an earlier request. */
  readonly leaveOverdue: number;
  /** From adopting a VM until its guest has connected to this agent. A stop waits for the connection. */
  readonly guestReconnect: number;
  /** Stopping the VMs that end with their agent. After that the agent ends all the same. */
  readonly agentEnd: number;
  /** Closing a handle. */
  readonly closeHandle: number;
  /** Copying or deleting one boot file. */
  readonly copy: number;
  /** Pause before a failed stop or clean-up is tried again. */
  readonly cleanUpRetry: number;
  /** Pause before a failed write of a journal is tried again. */
  readonly journalRetry: number;
  /** Unit of the restart back-off: after n failures in a row `unit × n²`, jittered down by up to half. */
  readonly backOffUnit: number;
  readonly backOffMaximum: number;
  /** A VM that has run this long starts counting its failures from zero. */
  readonly backOffReset: number;
  /** From the first enumeration until the agent reports what it found, including VMs that are still being examined. */
  readonly recovery: number;
  /** How often the state of a running VM is read, in case its exit event was lost. */
  readonly liveness: number;
  /** After HCS says that a VM has stopped: waiting for its exit event, which tells how. */
  readonly exitEvent: number;
  /** Closing the node when the agent ends, and waiting for the VMs when the compute service went away. */
  readonly leave: number;
  /** Pause before a failed enumeration of HCS is tried again. */
  readonly enumerateRetry: number;
  /** One call to the Host Networking Service. */
  readonly hns: number;
}

const second = 1_000;
const minute = 60 * second;

export const defaultTimeouts: Timeouts = {
  bootTimeout: 2 * minute,
  create: 4 * minute,
  query: 30 * second,
  lookUp: 2 * minute,
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
  // The text of a panic takes up to 2 s (`fixedTimes.windows.crashLog`).
  exitEvent: 5 * second,
  leave: 5 * second,
  enumerateRetry: 5 * second,
  hns: 30 * second,
};

/** How long a planned stop may take care of a guest before its VM is terminated (`stop-ladder.ts`), without the grace period of its process. */
export function longestLadder({ guestReconnect, leaveDisks, leaveProcesses }: Timeouts): number {
  // For the process of the VM: two requests, and the wait after KILL. For the processes of users: for each of the two
  // signals the request, then the wait.
  return guestReconnect + 7 * leaveProcesses + leaveDisks;
}

/** The longest grace period of a VM's process at the end of the agent, which leaves time for the rest of the ladder. */
export function graceAtAgentEnd(timeouts: Timeouts): number {
  return Math.max(0, timeouts.agentEnd - longestLadder(timeouts) - fixedTimes.vm.terminateAtAgentEnd);
}

export interface LinkTimes {
  /**
   * The longest pause after the first failed attempt to connect. Each further failure doubles it, up to `lastRetry`.
   */
  readonly firstRetry: number;
  readonly lastRetry: number;
  /**
   * A session that lasted this long resets the retries. When its replica dies, another one leads within 11 s. The VMs
   * of this agent wait for that long only, even if connecting took many attempts before.
   */
  readonly healthy: number;
  /** A connection of this age is replaced by a new one. */
  readonly renewal: number;
  /** The longest that open streams can delay a renewal. */
  readonly streams: number;
  /**
   * From the open socket to the operator's `welcome`. Long, because a whole fleet that connects at once waits in line.
   * Pings reveal an operator that died meanwhile.
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
    /**
     * A request over the bridge whose caller sets no other limit. After that the agent gives up the bridge (hcs-runtime
     * A.7).
     */
    request: 5 * minute,
    /**
     * Accepting the streams of a new process. The guest has connected before it answers, so only our own accepting is
     * left.
     */
    processStreams: 10 * second,
    /** Reading slices of guests' logs before everything else gets its turn. */
    logTurn: 2,
  },
  run: {
    /** Waiting for a program of the guest to answer a connection from the host. */
    dial: 5 * second,
    /** Pause before the guest's next connection is accepted. Each connection that ends soon doubles it. */
    redialPause: 100,
    redialPauseMaximum: 5 * second,
    /** A connection that lasts this long does not count as ending soon. */
    redialReset: 10 * second,
  },
  vm: {
    /** Waiting for HCS to say whether a VM that is being stopped is paused. */
    pausedLook: second,
    /** Terminating a VM after its stop ladder, when the agent ends. */
    terminateAtAgentEnd: 5 * second,
    /** Reading the rest of the output of a VM's process after its end, if a program of it keeps the output open. */
    processOutput: 30 * second,
    /** Pause between two checks whether the kernel has made the file systems read-only. */
    readOnlyLook: 50,
  },
  storage: {
    /** Pause before deleting what somebody reads is tried again. Each attempt adds this much. */
    removalRetry: 35,
    /** Pause between two attempts to become the only agent of the node. */
    lockRetry: second,
    /** Pauses before a file that somebody has open is read or renamed again. */
    heldRetries: [10, 20, 40, 80, 150, 300, 400],
  },
  streams: {
    /** Time without output after the end of a process, after which its output counts as complete. */
    lingering: 2 * second,
    /** Signalling a process whose user has disconnected. */
    hangUp: 10 * second,
  },
  link: {
    /** Opening a connection. A replica that takes longer is frozen, or its node is: the agent tries another one. */
    handshake: 5 * second,
    /** Pauses before the next replica is tried: alternately short and up to a second. */
    standbyPauses: [
      { least: 20, spread: 60 },
      { least: 400, spread: 600 },
    ],
    /** Interval of the operator's pings, until its `welcome` says otherwise. */
    firstHeartbeat: 10 * second,
    /** Changes of one VM within this time become one message. */
    coalescing: 50,
  },
  metrics: {
    /** Receiving the request of a probe or a scrape. */
    request: 5 * second,
    /** Age up to which HCS is not asked again for the resource use of a VM. */
    usageFresh: 5 * second,
    /** The same for a user who looks at one VM. */
    usageRecent: second,
    /** How long a scrape or a user waits for HCS. */
    usagePatience: 3 * second,
  },
  network: {
    /** From an answer that an endpoint is not there, given perhaps before HNS has loaded, until the same answer counts. */
    absence: 60 * second,
    /** Pause between two looks at the networks of the host. */
    look: 30 * second,
    /** The same after a look that failed. */
    lookAfterFailure: 5 * second,
  },
  windows: {
    /** Pause before a console's pipe is opened again. */
    consoleRetry: 100,
    /** After an exit that the guest caused: waiting for the text of its panic. */
    crashLog: 2 * second,
    /** After an exit: waiting for the system's running calls before giving them up. */
    callsAfterExit: second,
    /** The longest delay when a wake-up of the sockets' thread is lost. */
    pumpSleep: 250,
    /** Pause for a socket on which no operation can proceed. */
    pumpRest: 10,
    /** Closing the connection to the compute service, whose calls may hang. */
    close: 30 * second,
  },
  program: {
    /** Remaining work after the VMs have been stopped, before Windows ends the agent. */
    closing: 15 * second,
    /** Ending the process by force when a call hangs in the compute service. */
    exit: 2 * second,
  },
  doctor: {
    check: minute,
    connect: 5 * second,
    /** Running another program. */
    program: 20 * second,
    /** Asking HNS for its networks. */
    hns: 30 * second,
  },
} as const;
