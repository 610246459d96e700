// What a VM is to do next, as a pure function of what is wanted and what is remembered: the table of design §4
// (`runStrategy`) with restart requests, updates and back-off around it.
import type { Assignment, LastExit } from '../../protocol/messages.ts';
import type { ReasonCode } from '../../protocol/reasons.ts';
import { restartRequired } from './changes/options.ts';
import type { MachineRecord, StopReason } from './record.ts';
import type { Presence } from './states.ts';

export type Decision =
  /** Start it, at the earliest at `notBefore` (ms since the epoch). */
  | { readonly kind: 'start'; readonly notBefore: number }
  | { readonly kind: 'stop'; readonly reason: StopReason }
  /** It is as it shall be; `reason` says in which way. */
  | { readonly kind: 'settled'; readonly reason: ReasonCode }
  /** Leave it as it is. */
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

/** The restart annotation has a value that was not carried out yet; a `Once` VM that has ended stays ended all the same. */
export function restartRequested(record: MachineRecord, assignment: Assignment): boolean {
  return assignment.restartedAt !== undefined && assignment.restartedAt !== record.restartedAt;
}

/** How an ended VM that is not started again ended; undefined when it is to be started. */
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
