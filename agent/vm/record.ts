// The record: what an agent must still know about one VM after its own death (design §8). It suffices to find and undo
// everything that may exist of the VM, and to follow the run strategy while the operator is away. The journal stores
// it. Everything in it has been validated.
import { z } from 'zod';
import { filesystems } from '../../crds/spec/storage.ts';
import { assignment, bootTimings, guestLogSummary, lastExit, observedVirtualMachine } from '../../protocol/messages.ts';
import { type ReasonCode, reasons } from '../../protocol/reasons.ts';
import { streak } from '../../protocol/streak.ts';
import { applied } from '../preparation/applied.ts';
import { type HostResource, hostResource, resourcesOfRun } from '../preparation/host-resources.ts';
import { machineProcess } from './process/state.ts';

/** An effect on the host that must be undone: a staged copy (access to it ends with the file), or access to a disk. */
const acquired = z.object({ kind: z.enum(['copy', 'access']), path: z.string() });

const reasonCode = z.custom<ReasonCode>((code) => typeof code === 'string' && Object.hasOwn(reasons, code));

/** How far the current run may have come. The stage is written before its step, so the run may be one step behind. */
const stages = ['none', 'staging', 'creating', 'starting', 'running', 'stopping'] as const;

/** Why the running VM is stopped. */
const stopReason = z.enum(['Halted', 'Restarting', 'RestartRequired', 'Terminating', 'AgentRestarted']);
export type StopReason = z.infer<typeof stopReason>;

/** A disk that the running VM has, or may have: only `attached` is certain. */
const virtualMachineDisk = z.object({
  name: z.string(),
  /** As in the manifest. */
  path: z.string(),
  /** The path without links and short names; absent when it is the same path, or in the journal of an earlier agent. */
  finalPath: z.string().exactOptional(),
  readOnly: z.boolean(),
  /** As in the manifest. */
  mountPath: z.string().exactOptional(),
  /** As in the manifest. */
  filesystem: z.enum(filesystems).exactOptional(),
  /** As in the manifest. */
  ensureFilesystem: z.boolean().exactOptional(),
  /** The mount path in the guest; absent when the agent has no bridge to the guest. */
  guestPath: z.string().exactOptional(),
  controller: z.int(),
  lun: z.int(),
  state: z.enum(['attaching', 'attached', 'detaching']),
});
export type VirtualMachineDisk = z.infer<typeof virtualMachineDisk>;

/** A share that the running VM has, or may have: only `attached` is certain. */
const virtualMachineShare = z.object({
  name: z.string(),
  /** As in the manifest. */
  path: z.string(),
  /** The path without links and short names; absent when it is the same path. */
  finalPath: z.string().exactOptional(),
  readOnly: z.boolean(),
  guestPath: z.string(),
  /** The name of the share between the host and the guest. No other share of the run has it. */
  number: z.int().min(0),
  /** `mounting`: the guest was asked to mount it, or is about to be. */
  state: z.enum(['adding', 'mounting', 'attached', 'removing']),
});
export type VirtualMachineShare = z.infer<typeof virtualMachineShare>;

const scsiSlot = z.object({ controller: z.int(), lun: z.int() });

/** The resources of a running VM that live changes can set (design §8). Disks are changed one by one. */
export const resources = ['memory', 'processorLimits', 'cpuGroup'] as const;
export type Resource = (typeof resources)[number];

export const machineRecord = z.object({
  uid: z.uuid(),
  /** The latest assignment; absent for a VM that only HCS knew. */
  assignment: assignment.optional(),
  /** The agent process that wrote this. */
  agentBootID: z.uuid(),
  /**
   * When the host had started that the operator assigned the VM to, in milliseconds since the epoch; absent before that,
   * and in the journal of an earlier agent.
   */
  confirmedSince: z.number().exactOptional(),
  stage: z.enum(stages),
  /** The reason of a stop that was decided and has not ended yet. */
  stopReason: stopReason.exactOptional(),
  /** The text about the disks from that stop; absent while there is none, and in the journal of an earlier agent. */
  left: z.string().exactOptional(),
  acquired: z.array(acquired),
  applied: applied.optional(),
  /** The VM's reservations on the host; absent in the journal of an earlier agent. */
  reserved: z.array(hostResource).exactOptional(),
  disks: z.array(virtualMachineDisk),
  /**
   * Places where the guest may still be waiting for a disk in order to mount it. No other disk is attached there in
   * this run. Absent when there is none, and in the journal of an earlier agent.
   */
  retiredSlots: z.array(scsiSlot).exactOptional(),
  /** Shares of this run. Absent when there is none, and in the journal of an earlier agent. */
  shares: z.array(virtualMachineShare).exactOptional(),
  /** From this number on, no share of this run had the number. Absent when there was no share. */
  nextShare: z.int().min(0).exactOptional(),
  /**
   * Paths where the guest may still be mounting a share. When that fails later, the guest deletes what is there. So
   * nothing else is mounted there in this run. Absent when there is none.
   */
  retiredPaths: z.array(z.string()).exactOptional(),
  /** Changes that began and whose end is not recorded: it is not known whether the VM has them. */
  unsettled: z.array(z.enum(resources)),
  runtimeID: z.string().optional(),
  /** The process of the current or last run; absent before it is started, and for a VM without one. */
  process: machineProcess.exactOptional(),
  /** From this port on, no port of this run was used for the streams of a process. Absent when none was used at all. */
  nextStdioPort: z.int().min(0).max(0xffff_ffff).optional(),
  /** The number of runs so far, including this one. Log lines have it as `boot`. */
  boot: z.int().min(0),
  startTime: z.string().optional(),
  /** The VM was Running on this host at least once; absent in the journal of an earlier agent. */
  ranHere: z.boolean().exactOptional(),
  restarts: z.int().min(0),
  lastExit: lastExit.optional(),
  /** The last exit came before the guest was up. Such a run did not end well, whatever the exit. */
  endedBooting: z.boolean().exactOptional(),
  /** The restart annotation that was carried out. */
  restartedAt: z.string().optional(),
  /** The VM has been Running at least once since it was created or last restarted on request. */
  hasRun: z.boolean(),
  /** The number of failed starts and short runs in a row. */
  failures: z.int().min(0),
  /** The starts that failed in a row; absent when the last one succeeded, and in the journal of an earlier agent. */
  failedStarts: streak.exactOptional(),
  /** The VM is started again at this time at the earliest. */
  retryAfter: z.string().optional(),
  /** Why the last attempt failed. Kept until the VM runs or something else is wanted. */
  trouble: z.object({ reason: reasonCode, message: z.string() }).optional(),
  bootTimings,
  guest: observedVirtualMachine.shape.guest,
  guestLog: guestLogSummary,
});
export type MachineRecord = z.infer<typeof machineRecord>;

/** The resources of the host that the VM may still use. */
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
