// What the agent remembers of one VM across its own death (design §8): enough to know what may exist, to undo it, and to
// go on with the run strategy while the operator is away. The journal stores it; everything in it was parsed once.
import { z } from 'zod';
import {
  assignment,
  bootTimings,
  devices,
  guestLogSummary,
  lastExit,
  observedVirtualMachine,
} from '../protocol/messages.ts';
import { requestedOptions } from '../protocol/options.ts';
import { type ReasonCode, reasons } from '../protocol/reasons.ts';

/** An effect on the host that has to be taken back: a staged copy (grants on it go with the file). */
const acquired = z.object({ kind: z.literal('copy'), path: z.string() });
export type Acquired = z.infer<typeof acquired>;

/** How far the current run of the VM may have come. Written before the step, so the truth may be one step less. */
const reasonCode = z.custom<ReasonCode>((code) => typeof code === 'string' && Object.hasOwn(reasons, code));

const stages = ['none', 'staging', 'creating', 'starting', 'running', 'stopping'] as const;
export type Stage = (typeof stages)[number];

/** With what the current or last run was made. */
const applied = z.object({
  options: requestedOptions,
  optionsDigest: z.string(),
  documentDigest: z.string(),
  policyDigest: z.string().optional(),
  /** `terminateOnAgentExit: false`: the system survives the agent and may be adopted. */
  outlivesAgent: z.boolean(),
  processorCount: z.int(),
  memorySizeInMB: z.int(),
  warnings: z.array(z.string()),
  devices,
});
export type Applied = z.infer<typeof applied>;

export const machineRecord = z.object({
  uid: z.uuid(),
  /** The latest that the operator said; absent for a VM that only HCS knew. */
  assignment: assignment.optional(),
  /** The agent process that wrote this. */
  agentBootID: z.uuid(),
  stage: z.enum(stages),
  acquired: z.array(acquired),
  applied: applied.optional(),
  runtimeID: z.string().optional(),
  /** Runs so far, this one included; the `boot` of its log lines. */
  boot: z.int().min(0),
  startTime: z.string().optional(),
  restarts: z.int().min(0),
  lastExit: lastExit.optional(),
  /** The restart annotation that was carried out. */
  restartedAt: z.string().optional(),
  /** The VM has been Running at least once since it was created or last restarted on request. */
  hasRun: z.boolean(),
  /** Failed starts and short runs in a row. */
  failures: z.int().min(0),
  /** Not started again before this time. */
  retryAfter: z.string().optional(),
  /** Why the last attempt failed, until the VM runs or something else is wanted. */
  trouble: z.object({ reason: reasonCode, message: z.string() }).optional(),
  bootTimings,
  guest: observedVirtualMachine.shape.guest,
  guestLog: guestLogSummary,
});
export type MachineRecord = z.infer<typeof machineRecord>;

export function newRecord(uid: string, agentBootID: string): MachineRecord {
  return {
    uid,
    agentBootID,
    stage: 'none',
    acquired: [],
    boot: 0,
    restarts: 0,
    hasRun: false,
    failures: 0,
    bootTimings: {},
    guestLog: { head: [], tail: [], total: 0, dropped: 0 },
  };
}
