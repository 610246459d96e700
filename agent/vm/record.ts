// What the agent remembers of one VM across its own death (design §8): enough to know what may exist, to undo it, and to
// go on with the run strategy while the operator is away. The journal stores it; everything in it was parsed once.
import { z } from 'zod';
import { assignment, bootTimings, guestLogSummary, lastExit, observedVirtualMachine } from '../../protocol/messages.ts';
import { type ReasonCode, reasons } from '../../protocol/reasons.ts';
import { streak } from '../../protocol/streak.ts';
import { applied } from '../preparation/applied.ts';
import { type HostResource, hostResource, resourcesOfRun } from '../preparation/host-resources.ts';

/** An effect on the host that has to be taken back: a staged copy (grants on it go with the file), access to a disk. */
const acquired = z.object({ kind: z.enum(['copy', 'access']), path: z.string() });

const reasonCode = z.custom<ReasonCode>((code) => typeof code === 'string' && Object.hasOwn(reasons, code));

/** How far the current run of the VM may have come. Written before the step, so the truth may be one step less. */
const stages = ['none', 'staging', 'creating', 'starting', 'running', 'stopping'] as const;

/** Why the running VM is stopped. */
const stopReason = z.enum(['Halted', 'Restarting', 'RestartRequired', 'Terminating', 'AgentRestarted']);
export type StopReason = z.infer<typeof stopReason>;

/** A disk that the running VM has, or may have: only `attached` is certain. */
const virtualMachineDisk = z.object({
  name: z.string(),
  /** As the manifest has it. */
  path: z.string(),
  /** The file itself, without links and short names; absent when that is the same, or in the journal of an older agent. */
  finalPath: z.string().exactOptional(),
  readOnly: z.boolean(),
  /** As the manifest has it. */
  mountPath: z.string().exactOptional(),
  /** Where the guest has it; absent for a guest that is not asked for anything. */
  guestPath: z.string().exactOptional(),
  controller: z.int(),
  lun: z.int(),
  state: z.enum(['attaching', 'attached', 'detaching']),
});
export type VirtualMachineDisk = z.infer<typeof virtualMachineDisk>;

const scsiSlot = z.object({ controller: z.int(), lun: z.int() });

/** What of a running VM can be set anew (design §8); disks come and go one by one. */
export const resources = ['memory', 'processorLimits', 'cpuGroup'] as const;
export type Resource = (typeof resources)[number];

export const machineRecord = z.object({
  uid: z.uuid(),
  /** The latest that the operator said; absent for a VM that only HCS knew. */
  assignment: assignment.optional(),
  /** The agent process that wrote this. */
  agentBootID: z.uuid(),
  stage: z.enum(stages),
  /** Of a stop that was decided and has not come to its end. */
  stopReason: stopReason.exactOptional(),
  /** What that stop has done about the disks, in words; absent while it has none to tell, and in journals of earlier agents. */
  left: z.string().exactOptional(),
  acquired: z.array(acquired),
  applied: applied.optional(),
  /** What it has reserved of the host; absent in the journal of an older agent. */
  reserved: z.array(hostResource).exactOptional(),
  disks: z.array(virtualMachineDisk),
  /**
   * Places of disks that the guest may still be waiting for, to mount them: nothing else is attached there in this run.
   * Absent: none, or in the journal of an older agent.
   */
  retiredSlots: z.array(scsiSlot).exactOptional(),
  /** Changes that were begun and not seen to end: whether the VM has them is not known. */
  unsettled: z.array(z.enum(resources)),
  runtimeID: z.string().optional(),
  /** Ports of this run from here on were never used for the streams of a process; absent = none was. */
  nextStdioPort: z.int().min(0).max(0xffff_ffff).optional(),
  /** Runs so far, this one included; the `boot` of its log lines. */
  boot: z.int().min(0),
  startTime: z.string().optional(),
  /** The VM was up on this host at least once; absent in the journal of an older agent. */
  ranHere: z.boolean().exactOptional(),
  restarts: z.int().min(0),
  lastExit: lastExit.optional(),
  /** That exit came before the guest was up: however it ended, that was no good end of a run. */
  endedBooting: z.boolean().exactOptional(),
  /** The restart annotation that was carried out. */
  restartedAt: z.string().optional(),
  /** The VM has been Running at least once since it was created or last restarted on request. */
  hasRun: z.boolean(),
  /** Failed starts and short runs in a row. */
  failures: z.int().min(0),
  /** Starts that failed in a row; absent when the last one did not, and in journals of earlier agents. */
  failedStarts: streak.exactOptional(),
  /** Not started again before this time. */
  retryAfter: z.string().optional(),
  /** Why the last attempt failed, until the VM runs or something else is wanted. */
  trouble: z.object({ reason: reasonCode, message: z.string() }).optional(),
  bootTimings,
  guest: observedVirtualMachine.shape.guest,
  guestLog: guestLogSummary,
});
export type MachineRecord = z.infer<typeof machineRecord>;

/** What a VM may still use of its host. */
export function reservedBy({ applied, disks, reserved, stage }: MachineRecord): readonly HostResource[] {
  if (reserved !== undefined) return reserved;
  if (stage === 'none' || applied === undefined) return [];
  const { scsi, vpmem } = applied.devices;
  return resourcesOfRun(
    applied.options,
    [...scsi, ...vpmem].map(({ path }) => path),
    disks,
  );
}

export function newRecord(uid: string, agentBootID: string): MachineRecord {
  return {
    uid,
    agentBootID,
    stage: 'none',
    acquired: [],
    disks: [],
    unsettled: [],
    boot: 0,
    ranHere: false,
    restarts: 0,
    hasRun: false,
    failures: 0,
    bootTimings: {},
    guestLog: { head: [], tail: [], total: 0, dropped: 0 },
  };
}
