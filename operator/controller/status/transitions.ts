// Decides which changes of status deserve Events: placement, requests that were carried out, exits and failures.
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import type { Condition } from '../../../crds/object.ts';
import { type ReasonCode, reasons } from '../../../protocol/reasons.ts';
import { isAnnotationWarning } from '../knowledge/annotations.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';

export interface Transition {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

/** Intermediate states that pass without intervention. */
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
  'Exited', // the exit itself is reported
]);

/** Not ready, but as requested. */
const expected: ReadonlySet<string> = new Set(['Changing'] satisfies ReasonCode[]);

export function transitions(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const usual = joined([...placement(before, after), ...exit(before, after), ...readiness(before, after)]);
  const begun = [...begins('RestartRequired', before, after), ...begins('Paused', before, after)];
  return [...usual, ...begun, ...references(before, after), ...annotations(before, after)];
}

/**
 * The placement is reported together with its outcome, so that a VM that simply starts costs one Event: `Started`,
 * which also names the host. Until then the condition `Scheduled` shows the placement. Derived from the stored status
 * alone, so that a failover loses nothing.
 */
function placement(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  if (awaitsReport(before)) return awaitsReport(after) ? [] : scheduled(before);
  const placed = after.nodeName !== undefined && after.nodeName !== before.nodeName;
  return placed && !awaitsReport(after) ? scheduled(after) : [];
}

/** The VM is placed, and its agent has not reported on it yet. */
function awaitsReport({ nodeName, phase }: LinuxUtilityVMStatus): boolean {
  return nodeName !== undefined && phase === 'Scheduled';
}

function scheduled({ conditions }: LinuxUtilityVMStatus): readonly Transition[] {
  const condition = conditionOf(conditions, 'Scheduled');
  if (condition === undefined) return [];
  return [{ type: 'Normal', reason: condition.reason, action: 'Schedule', note: condition.message }];
}

function joined(all: readonly Transition[]): readonly Transition[] {
  const [first, second] = all;
  if (all.length !== 2 || first?.action !== 'Schedule' || second?.reason !== 'Started') return all;
  return [{ ...second, note: `Scheduled: ${first.note}. Started: ${second.note}` }];
}

function exit(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const { lastExit } = after;
  if (lastExit === undefined || lastExit.time === before.lastExit?.time) return [];
  const note = `the VM ended: ${lastExit.type}${lastExit.message === undefined ? '' : `, ${lastExit.message}`}`;
  const expected = lastExit.type === 'GracefulExit' || lastExit.type === 'ForcedExit';
  return [{ type: expected ? 'Normal' : 'Warning', reason: 'Exited', action: 'Observe', note }];
}

/** Reports a VM that runs although an object that it refers to is missing. For other VMs `Ready` shows it. */
function references(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const isMissing = ({ conditions }: LinuxUtilityVMStatus) =>
    conditionOf(conditions, 'ReferencesResolved')?.status === 'False';
  const is = conditionOf(after.conditions, 'ReferencesResolved');
  if (is === undefined || !isMissing(after) || isMissing(before)) return [];
  if (conditionOf(after.conditions, 'Ready')?.reason === is.reason) return [];
  return [{ type: 'Warning', reason: is.reason, action: 'Reconcile', note: is.message }];
}

function annotations(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const added = (after.warnings ?? []).filter((each) => !before.warnings?.includes(each));
  return added.filter(isAnnotationWarning).map((note) => ({
    type: 'Warning',
    reason: 'InvalidAnnotation' satisfies ReasonCode,
    action: 'Reconcile',
    note,
  }));
}

function readiness(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): readonly Transition[] {
  const [was, is] = [conditionOf(before.conditions, 'Ready'), conditionOf(after.conditions, 'Ready')];
  if (is === undefined || unremarkable.has(is.reason)) return [];
  const { status, reason, message: note } = is;
  if (isUp(is) && hasStarted(before, after)) {
    return [
      { type: 'Normal', reason: 'Started', action: 'Start', note: status === 'True' ? note : reasons.Started.text },
    ];
  }
  if (isChanged(before, after))
    return [{ type: 'Normal', reason: 'Changed', action: 'Reconcile', note: reasons.Changed.text }];
  if (was?.status === status && was.reason === reason) return [];
  const isOrdinary = status === 'True' || expected.has(reason);
  return [{ type: isOrdinary ? 'Normal' : 'Warning', reason, action: 'Reconcile', note }];
}

/** The guest is up. Live changes may still be outstanding. */
function isUp({ status, reason }: Condition): boolean {
  return (status === 'True' && reason === 'Running') || reason === 'Changing';
}

function hasStarted(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): boolean {
  if (after.phase !== 'Running') return false;
  const was = conditionOf(before.conditions, 'Ready');
  return after.startTime !== before.startTime || (was?.status === 'False' && before.phase !== 'Running');
}

/** The same boot has different options than before, and all that were requested. */
function isChanged(before: LinuxUtilityVMStatus, after: LinuxUtilityVMStatus): boolean {
  const ready = conditionOf(after.conditions, 'Ready');
  if (ready?.status !== 'True' || ready.reason !== 'Running' || before.phase !== 'Running') return false;
  const isSameRun = before.startTime === after.startTime && before.optionsDigest !== undefined;
  return isSameRun && before.optionsDigest !== after.optionsDigest;
}

/** A condition that says that the VM is not, or may not be, what its manifest asks for now. */
function begins(
  type: 'RestartRequired' | 'Paused',
  before: LinuxUtilityVMStatus,
  after: LinuxUtilityVMStatus,
): readonly Transition[] {
  const is = conditionOf(after.conditions, type);
  if (is?.status !== 'True' || conditionOf(before.conditions, type)?.status === 'True') return [];
  // A VM that waits for a host because it is paused says so by `Ready`.
  if (conditionOf(after.conditions, 'Ready')?.reason === is.reason) return [];
  return [{ type: 'Normal', reason: is.reason, action: 'Reconcile', note: is.message }];
}
