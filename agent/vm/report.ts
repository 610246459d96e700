// The report of a VM, as a pure function of what the agent knows: the phase and the facts of the current run.
// `conditions.ts` makes the conditions.
import type { MachinePhase, ObservedVirtualMachine } from '../../protocol/messages.ts';
import { reasons } from '../../protocol/reasons.ts';
import { isWait } from '../failure.ts';
import { conditionsOf, isRunning, stalls, systemExists, type VirtualMachineView } from './conditions.ts';
import { type Decision, decide } from './decision.ts';
import { observedProcess } from './process/state.ts';
import type { MachineRecord, VirtualMachineDisk, VirtualMachineShare } from './record.ts';
import { states } from './states.ts';

export function report(view: VirtualMachineView): ObservedVirtualMachine {
  const { record, state } = view;
  const decision = decide(unpaused(record), states[state].presence, view.released);
  return {
    uid: record.uid,
    ...assignmentFacts(record),
    ...appliedFacts(record, systemExists(view)),
    phase: phaseOf(view, decision),
    conditions: conditionsOf(view, decision),
    ...(systemExists(view) && systemFacts(view)),
    ...(record.startTime !== undefined && { startTime: record.startTime }),
    ...(record.ranHere !== undefined && { startedOnHost: record.ranHere }),
    restarts: record.restarts,
    ...(record.restartedAt !== undefined && { restartedAt: record.restartedAt }),
    ...(record.lastExit && { lastExit: record.lastExit }),
    ...(record.process && { process: observedProcess(record.process) }),
    ...(isRunning(view) && record.guest && { guest: record.guest }),
    guestLog: view.log.summary(),
    ...startFailure(record, !isRunning(view) && !stalls(view.record.trouble)),
    bootTimings: record.bootTimings,
    warnings: record.applied?.warnings ?? [],
  };
}

/** The report of a paused VM describes the assignment that it had before the pause. */
function unpaused(record: MachineRecord): MachineRecord {
  const { assignment } = record;
  return assignment?.paused === true ? { ...record, assignment: { ...assignment, paused: false } } : record;
}

function assignmentFacts({ assignment }: MachineRecord) {
  if (assignment === undefined) return undefined;
  const { generation, optionsDigest, sourceDigest } = assignment;
  return { generation, wantedDigest: optionsDigest, ...(sourceDigest !== undefined && { sourceDigest }) };
}

function appliedFacts({ applied, disks, shares = [] }: MachineRecord, exists: boolean) {
  return (
    applied && {
      optionsDigest: applied.optionsDigest,
      documentDigest: applied.documentDigest,
      ...(applied.policyDigest !== undefined && { policyDigest: applied.policyDigest }),
      processorCount: applied.processorCount,
      memorySizeInMB: applied.memorySizeInMB,
      ...(exists && {
        devices: {
          ...applied.devices,
          scsi: [...applied.devices.scsi, ...disks.map(diskFact)],
          ...(shares.length > 0 && { shares: shares.map(shareFact) }),
        },
      }),
    }
  );
}

function diskFact({ controller, lun, path }: VirtualMachineDisk) {
  return { controller, lun, path };
}

function shareFact({ guestPath, name, path, readOnly }: VirtualMachineShare) {
  return { name, path, guestPath, readOnly };
}

function systemFacts({ record, systemID }: VirtualMachineView) {
  return { systemID, ...(record.runtimeID !== undefined && { runtimeID: record.runtimeID }) };
}

/**
 * The failed attempts that a user waits for. A VM that ended badly counts although no start has failed. A good end is
 * no failure.
 */
function startFailure({ failedStarts, failures, lastExit, retryAfter }: MachineRecord, isAwaited: boolean) {
  const count = failedStarts?.tries ?? 0;
  const endedBadly = failures > 0 && isAwaited && lastExit?.type !== 'GracefulExit';
  if (count === 0 && !endedBadly) return undefined;
  return { startFailure: { count, ...(retryAfter !== undefined && isAwaited && { retryAfter }) } };
}

function phaseOf(view: VirtualMachineView, decision: Decision): MachinePhase {
  // Why an earlier start failed no longer matters once the VM is as it is wanted, such as halted.
  if (view.state === 'Idle' && decision.kind === 'settled' && reasons[decision.reason].action !== 'stall')
    return 'Stopped';
  // A stalled VM is tried again from time to time. The phase stays Failed meanwhile.
  if (stalls(view.record.trouble) && states[view.state].presence !== 'running' && view.state !== 'Unknown')
    return 'Failed';
  if (view.state !== 'Idle') return states[view.state].phase;
  if (decision.kind === 'start' && view.record.trouble !== undefined && isWait(view.record.trouble.reason))
    return 'Staging';
  return decision.kind === 'settled' || view.record.trouble !== undefined ? 'Failed' : 'Stopped';
}
