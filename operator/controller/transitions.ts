// Which Events a change of status is worth: placement, the VM doing what was asked, exits and failures.
import type { LinuxUtilityVMStatus } from '../../crds/linux-utility-vm.ts';
import { conditionOf } from './conditions.ts';

export interface Transition {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

/** States on the way, which pass by themselves. */
const unremarkable: ReadonlySet<string> = new Set([
  'Preparing',
  'Prepared',
  'Creating',
  'Created',
  'NotCreated',
  'Starting',
  'Stopping',
  'Restarting',
  'NotConnected',
  'Exited', // told by the exit itself
]);

export function transitions(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  return [...placement(before, after), ...exit(before, after), ...readiness(before, after)];
}

function placement(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const scheduled = conditionOf(after.conditions, 'Scheduled');
  if (after.nodeName === undefined || after.nodeName === before.nodeName || scheduled === undefined) return [];
  return [{ type: 'Normal', reason: scheduled.reason, action: 'Schedule', note: scheduled.message }];
}

function exit(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const { lastExit } = after;
  if (lastExit === undefined || lastExit.time === before.lastExit?.time) return [];
  const note = `the VM ended: ${lastExit.type}${lastExit.message === undefined ? '' : `, ${lastExit.message}`}`;
  const expected = lastExit.type === 'GracefulExit' || lastExit.type === 'ForcedExit';
  return [{ type: expected ? 'Normal' : 'Warning', reason: 'Exited', action: 'Observe', note }];
}

function readiness(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const [was, is] = [conditionOf(before.conditions, 'Ready'), conditionOf(after.conditions, 'Ready')];
  if (is === undefined || unremarkable.has(is.reason)) return [];
  const { status, message: note } = is;
  const started = after.startTime !== before.startTime || was?.status === 'False';
  if (status === 'True' && is.reason === 'Running' && started) {
    return [{ type: 'Normal', reason: 'Started', action: 'Start', note }];
  }
  if (was?.status === status && was.reason === is.reason) return [];
  return [{ type: status === 'True' ? 'Normal' : 'Warning', reason: is.reason, action: 'Reconcile', note }];
}
