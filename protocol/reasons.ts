// Every reason that a condition, an event or a metric label can carry. The code is the contract; the text is not.
// `docs/reasons.md` has an anchor for each. `stall`: only a change of the manifest or of the host can mend it (kstatus
// `Stalled`). `retry`: the system keeps trying. `stallLater`: the system keeps trying, and the VM is shown as stalled
// after five failed tries over at least 60 s (`streak.ts`). `none`: there is nothing to mend.

export type ReasonAction = 'none' | 'retry' | 'stallLater' | 'stall';

export interface Reason {
  readonly text: string;
  readonly action: ReasonAction;
}

const table = {
  // Placement
  Scheduled: { text: 'The VM has a host.', action: 'none' },
  Admitted: { text: 'A resting VM may start again: its host has room for it.', action: 'none' },
  NoHostFits: { text: 'No connected host satisfies what the VM needs.', action: 'retry' },
  NoRoom: { text: 'The only host that may run the VM has no room for it at the moment.', action: 'retry' },
  HostNotReady: { text: 'The named host has no connected agent yet.', action: 'retry' },
  InventoryPending: { text: 'The VM is placed after every known host has reported its VMs.', action: 'retry' },
  ClaimRefused: {
    text: 'An agent has a VM that may not be on its host; the VM is torn down there (an Event).',
    action: 'none',
  },
  HostDisconnected: {
    text: 'The agent of the host has been away for more than 60 s; its VMs may still run.',
    action: 'retry',
  },
  OperatorUninstalled: { text: 'The operator was uninstalled, so nobody knows of the agents.', action: 'none' },

  // Preparation
  Preparing: { text: 'The agent looks for boot files and builds the document.', action: 'retry' },
  Prepared: { text: 'Boot files were found and the document was built.', action: 'none' },
  InvalidSpec: { text: 'The stored object does not satisfy the schema.', action: 'stall' },
  ReferenceUnreadable: {
    text: 'An object that the manifest refers to does not exist or cannot be read.',
    action: 'stallLater',
  },
  Resolved: { text: 'Every object that the manifest refers to was read.', action: 'none' },
  InvalidOptions: { text: 'The options cannot be turned into a document on this host.', action: 'stall' },
  UnsupportedByAgent: { text: 'The agent of the host does not know an option of the VM.', action: 'stall' },
  ProtocolError: { text: 'A message about the VM could not be understood.', action: 'stall' },
  PathNotAllowed: {
    text: 'The manifest names a path, disk or pipe that the agent of the host does not allow.',
    action: 'stall',
  },
  DeviceNotAllowed: { text: 'The manifest names a device that the agent of the host does not allow.', action: 'stall' },
  PipeInUse: {
    text: 'Another VM of the host uses the console pipe; the VM starts when the pipe is free.',
    action: 'retry',
  },
  DiskInUse: {
    text: 'Another VM of the host uses a file of the VM, and one of them writes to it; the VM waits until the file is free.',
    action: 'retry',
  },
  CPUGroupNotAllowed: {
    text: 'The manifest names a CPU group that the agent of the host does not allow.',
    action: 'stall',
  },
  ResourcePartitionNotAllowed: {
    text: 'The manifest names a resource partition that the agent of the host does not allow.',
    action: 'stall',
  },
  ProcessNotAllowed: {
    text: 'The security policy of the VM does not allow its process.',
    action: 'stall',
  },
  HostQueryFailed: { text: 'The facts of the host could not be read.', action: 'retry' },
  StagingFailed: {
    text: 'A boot file could not be copied, or access to it could not be granted.',
    action: 'stallLater',
  },
  JournalUnwritable: { text: 'The agent cannot write its journal; it starts no VM until it can.', action: 'retry' },

  // Creation and start
  NotCreated: { text: 'No compute system exists.', action: 'none' },
  Creating: { text: 'The compute system is being created.', action: 'retry' },
  Created: { text: 'The compute system exists.', action: 'none' },
  CreateFailed: { text: 'HCS refused to create the compute system.', action: 'stallLater' },
  DocumentRefused: { text: 'HCS does not accept the document.', action: 'stall' },
  InsufficientResources: { text: 'The host has too little memory or too few processors for the VM.', action: 'retry' },
  Starting: { text: 'The VM is booting.', action: 'retry' },
  Started: { text: 'The VM was started and its guest is up (an Event; the condition says Running).', action: 'none' },
  StartFailed: { text: 'HCS could not start the VM.', action: 'stallLater' },
  PolicyRefused: { text: 'The guest refused the security policy of its VM.', action: 'stall' },
  BootTimeout: { text: 'The guest did not come up in time.', action: 'retry' },
  ExitedDuringStart: { text: 'The VM ended before its guest was up.', action: 'retry' },
  CallOverdue: {
    text: 'A call to HCS is overdue. The agent terminates the compute system, and waits for the call before it does anything else with the VM.',
    action: 'retry',
  },
  InternalError: {
    text: 'An internal error of the agent affected this VM. The agent starts over with the VM, at most five times until the VM is changed.',
    action: 'retry',
  },
  BackOff: { text: 'The VM failed several times in a row and will be started again later.', action: 'retry' },

  // Running
  Connected: { text: 'The guest answered.', action: 'none' },
  NotConnected: { text: 'The guest is not connected.', action: 'none' },
  ConnectionNotUsed: { text: 'The manifest disables the guest connection.', action: 'none' },
  GuestConnectionLost: { text: 'The guest closed its connection; the VM still runs.', action: 'retry' },
  Running: { text: 'The VM runs.', action: 'none' },
  Changing: {
    text: 'The agent applies a change of the manifest to the running VM.',
    action: 'retry',
  },
  Changed: { text: 'A change of the manifest was applied to the running VM (an Event).', action: 'none' },
  ChangeFailed: { text: 'The running VM could not be changed; the agent tries again.', action: 'stallLater' },
  DiskFailed: {
    text: 'A disk could not be attached, mounted or detached; the agent tries again.',
    action: 'stallLater',
  },
  ShareFailed: {
    text: 'A share could not be added, mounted or removed; the agent tries again.',
    action: 'stallLater',
  },
  RestartRequired: { text: 'The manifest has a change that only a restart applies.', action: 'none' },

  // The process of a VM
  ProcessNotStarted: { text: 'The guest could not start the process of the VM.', action: 'retry' },
  ProcessStartUnknown: {
    text: 'It is not known whether the guest has started the process. It is not started twice: the VM counts as failed.',
    action: 'retry',
  },
  ExitCodeLost: { text: 'The process has ended and its exit code is lost. The VM counts as failed.', action: 'retry' },

  // The end of a VM
  Stopping: { text: 'The VM is being stopped.', action: 'retry' },
  StopFailed: { text: 'The VM could not be stopped; the agent tries again.', action: 'retry' },
  CleanUpFailed: {
    text: 'A staged file or granted access could not be removed; the agent tries again.',
    action: 'retry',
  },
  Halted: { text: 'The VM is stopped, as its manifest asks.', action: 'none' },
  Completed: { text: 'The VM ended successfully and is not started again.', action: 'none' },
  Failed: { text: 'The VM failed and is not started again.', action: 'stall' },
  Exited: { text: 'The VM ended and is started again.', action: 'retry' },
  AgentRestarted: { text: 'The VM ended together with the agent that ran it.', action: 'stall' },
  HostDrained: { text: 'The host is being drained.', action: 'retry' },
  Restarting: { text: 'The VM is restarted on request.', action: 'retry' },
  InvalidAnnotation: {
    text: 'The value of an annotation is invalid and has no effect (an Event).',
    action: 'none',
  },
  Paused: { text: 'The VM is paused by an annotation.', action: 'none' },

  // Sets
  Progressing: { text: 'VMs of the set are being made, changed or deleted.', action: 'retry' },
  Complete: {
    text: 'Every VM that may have the present template has it, and all are available.',
    action: 'none',
  },
  EnoughAvailable: { text: 'No more VMs are unavailable than may be.', action: 'none' },
  TooFewAvailable: { text: 'More VMs are unavailable than may be.', action: 'retry' },
  Replaced: {
    text: 'A new VM takes the place of one whose start failed again and again (an Event; see spec.replacement).',
    action: 'none',
  },
  RolloutPaused: { text: 'The VMs do not get a changed template: spec.update.paused is true.', action: 'none' },
  OrdinalsInvalid: { text: 'The reserved ordinals cannot be read, or leave too few.', action: 'stall' },
  TemplateInvalid: { text: 'The API server does not accept a VM that is made from the template.', action: 'stall' },
  NameConflict: { text: 'Another object has the name of a VM of the set.', action: 'stall' },
  CreateRefused: { text: 'The API server does not let the set make a VM, as with a quota.', action: 'retry' },
  LiveChangeRefused: {
    text: 'A change needs a restart, which the method LiveOnly does not allow.',
    action: 'stall',
  },
  ProgressDeadlineExceeded: { text: 'The rollout made no progress for too long.', action: 'stall' },
  Draining: { text: 'The Node of the host has the taint lcow.dev/drain, so its VMs leave.', action: 'none' },
  DrainAllowed: { text: 'The budget of the set lets the drain of the host take the VM.', action: 'none' },

  // Deletion
  Terminating: { text: 'Waiting for the host to confirm that the VM and its files are gone.', action: 'retry' },
  ForceDeleted: {
    text: 'The finalizer was removed by the force-delete annotation, without confirmation from the host.',
    action: 'none',
  },
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof table;

export const reasons: Readonly<Record<ReasonCode, Reason>> = table;

/** The text for a VM that is as its manifest asks, with the way to start one that stays `Completed`. */
export function settledText(reason: ReasonCode, runStrategy: string | undefined): string {
  const { text } = reasons[reason];
  if (reason !== 'Completed' || runStrategy !== 'RerunOnFailure') return text;
  return `${text} A new value of the annotation lcow.dev/restartedAt (kubectl luvm restart) starts it again.`;
}
