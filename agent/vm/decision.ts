// Decides what a VM does next, as a pure function of its record. The record has what is wanted and what happened. The
// rules are the table of design §4 (`runStrategy`), with restart requests, updates and back-off.
import type { Assignment, LastExit } from '../../protocol/messages.ts';
import type { ReasonCode } from '../../protocol/reasons.ts';
import { restartRequired } from './changes/options.ts';
import type { MachineRecord, StopReason } from './record.ts';
import type { Presence } from './states.ts';

export type Decision =
  /** Start the VM, at `notBefore` at the earliest (ms since the epoch). */
  | { readonly kind: 'start'; readonly notBefore: number }
  | { readonly kind: 'stop'; readonly reason: StopReason }
  /** The VM is as it should be; `reason` says in which way. */
  | { readonly kind: 'settled'; readonly reason: ReasonCode }
  /** Leave the VM as it is. */
  | { readonly kind: 'leave' };

export function decide(record: MachineRecord, presence: Presence, released: boolean): Decision {
  if (released) return presence === 'absent' ? { kind: 'settled', reason: 'Terminating' } : stop('Terminating');
  const { assignment } = record;
  if (assignment === undefined || assignment.paused) return { kind: 'leave' };
  if (assignment.runStrategy === 'Halted') {
    return presence === 'absent' ? { kind: 'settled', reason: 'Halted' } : stop('Halted');
  }
  if (presence !== 'absent') return decideForPresent(record, assignment);
  const outcome = outcomeOf(assignment, record);
  if (outcome !== undefined) return { kind: 'settled', reason: outcome };
  return { kind: 'start', notBefore: record.retryAfter === undefined ? 0 : Date.parse(record.retryAfter) };
}

function stop(reason: StopReason): Decision {
  return { kind: 'stop', reason };
}

function decideForPresent(record: MachineRecord, assignment: Assignment): Decision {
  if (restartRequested(record, assignment)) return stop('Restarting');
  if (assignment.updateStrategy === 'Recreate' && restartRequired(record)) return stop('RestartRequired');
  return { kind: 'settled', reason: 'Running' };
}

/** A restart was requested and not carried out yet. A `Once` VM that has ended stays ended nevertheless. */
export function restartRequested(record: MachineRecord, assignment: Assignment): boolean {
  return assignment.restartedAt !== undefined && assignment.restartedAt !== record.restartedAt;
}

/** The outcome of a VM that has ended and is not started again; undefined when it is to be started. */
function outcomeOf(assignment: Assignment, record: MachineRecord): ReasonCode | undefined {
  if (!record.hasRun) return undefined;
  switch (assignment.runStrategy) {
    case 'Once':
      return endedWell(record) ? 'Completed' : onceFailure(record.lastExit);
    case 'RerunOnFailure':
      return endedWell(record) && !restartRequested(record, assignment) ? 'Completed' : undefined;
    default:
      return undefined;
  }
}

function endedWell({ endedBooting, lastExit }: MachineRecord): boolean {
  return lastExit?.type === 'GracefulExit' && endedBooting !== true;
}

function onceFailure(exit: LastExit | undefined): ReasonCode {
  return exit === undefined || exit.type === 'AgentExit' ? 'AgentRestarted' : 'Failed';
}
