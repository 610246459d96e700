// The conditions of a VM, as a pure function of what the agent knows about it (design §4).
import { limits, type ObservedCondition } from '../../protocol/messages.ts';
import { type ReasonCode, reasons, settledText } from '../../protocol/reasons.ts';
import { isLasting } from '../../protocol/streak.ts';
import { beginning } from '../../runtime/beginning.ts';
import type { GuestLog } from '../guest-log/log.ts';
import { hasPendingChanges, restartRequired } from './changes/options.ts';
import type { Decision } from './decision.ts';
import { hasProcess } from './process/record.ts';
import type { MachineRecord } from './record.ts';
import { type MachineState, states } from './states.ts';

/** Why the VM is not (yet) as it should be. */
export interface Trouble {
  readonly reason: ReasonCode;
  readonly message: string;
  /** The attempts failed so often and for so long that nobody should wait any longer (`protocol/streak.ts`). */
  readonly isLasting?: boolean;
}

export interface VirtualMachineView {
  readonly record: MachineRecord;
  readonly state: MachineState;
  readonly released: boolean;
  /** Why the wanted changes have not been made to the running VM. */
  readonly changeTrouble: Trouble | undefined;
  /** The agent had too many internal errors with this VM. It waits until something else is wanted. */
  readonly rests: boolean;
  readonly guestConnected: boolean;
  /** The options of this run make the guest dial the bridge. */
  readonly guestExpected: boolean;
  readonly log: GuestLog;
  readonly systemID: string;
}

export function conditionsOf(view: VirtualMachineView, decision: Decision): ObservedCondition[] {
  const ready = readyOf(view, decision);
  const conditions = [preparedOf(view), createdOf(view), guestConnectedOf(view), ready];
  if (isRunning(view) && restartRequired(view.record)) {
    conditions.push(
      condition('RestartRequired', 'True', 'RestartRequired', 'the manifest has changes that need a restart'),
    );
  }
  const isTriedInVain = decision.kind !== 'stop' && isTroubleLasting(view);
  const stalled =
    ready.status === 'False' && (view.rests || stalls(troubleOf(view)) || stallsByOutcome(decision) || isTriedInVain);
  if (stalled) conditions.push({ ...ready, type: 'Stalled', status: 'True' });
  else if (ready.status === 'False' && view.record.assignment?.paused !== true) {
    conditions.push({ ...ready, type: 'Reconciling', status: 'True' });
  }
  return conditions;
}

/** For a running VM: why it is not changed. For any other VM: why it does not run. */
function troubleOf(view: VirtualMachineView): Trouble | undefined {
  if (!isRunning(view)) return view.record.trouble;
  return isGuestMissing(view) ? undefined : view.changeTrouble;
}

function isTroubleLasting(view: VirtualMachineView): boolean {
  const trouble = troubleOf(view);
  if (trouble === undefined) return false;
  return isRunning(view) ? trouble.isLasting === true : isLasting(trouble.reason, view.record.failedStarts);
}

export function isRunning(view: VirtualMachineView): boolean {
  return view.state === 'Running';
}

function stallsByOutcome(decision: Decision): boolean {
  return decision.kind === 'settled' && reasons[decision.reason].action === 'stall';
}

function preparedOf(view: VirtualMachineView): ObservedCondition {
  const { record, state } = view;
  const { trouble } = record;
  if (state === 'Unknown')
    return condition('Prepared', 'Unknown', 'HostQueryFailed', 'HCS has not been enumerated yet');
  if (preparedLong(view)) return condition('Prepared', 'True', 'Prepared');
  if (trouble !== undefined && record.bootTimings.prepared === undefined) return troubled('Prepared', trouble);
  if (state === 'Preparing') return condition('Prepared', 'False', 'Preparing');
  return record.bootTimings.prepared === undefined
    ? condition('Prepared', 'False', 'NotCreated')
    : condition('Prepared', 'True', 'Prepared');
}

function preparedLong(view: VirtualMachineView): boolean {
  return view.state === 'Creating' || systemExists(view);
}

function createdOf(view: VirtualMachineView): ObservedCondition {
  const { record, state } = view;
  const { trouble } = record;
  if (state === 'Unknown') return condition('Created', 'Unknown', 'HostQueryFailed', 'HCS has not been enumerated yet');
  if (systemExists(view)) return condition('Created', 'True', 'Created');
  if (trouble !== undefined && record.bootTimings.prepared !== undefined && record.bootTimings.created === undefined) {
    return troubled('Created', trouble);
  }
  return condition('Created', 'False', state === 'Creating' ? 'Creating' : 'NotCreated');
}

function guestConnectedOf(view: VirtualMachineView): ObservedCondition {
  const { record, state } = view;
  const { trouble } = record;
  if (isRunning(view)) {
    if (view.guestConnected) return condition('GuestConnected', 'True', 'Connected');
    if (!view.guestExpected) return condition('GuestConnected', 'False', 'ConnectionNotUsed');
    return condition('GuestConnected', 'False', 'GuestConnectionLost');
  }
  if (trouble !== undefined && view.record.bootTimings.created !== undefined)
    return troubled('GuestConnected', trouble);
  return condition('GuestConnected', 'False', state === 'Starting' ? 'Starting' : 'NotConnected');
}

function readyOf(view: VirtualMachineView, decision: Decision): ObservedCondition {
  const { record, state } = view;
  const { trouble } = record;
  if (state === 'Unknown') {
    if (trouble?.reason === 'InternalError') return troubled('Ready', trouble);
    return condition('Ready', 'Unknown', 'HostQueryFailed', 'HCS has not been enumerated yet');
  }
  if (decision.kind === 'settled') return readyWhenSettled(view, decision.reason);
  if (decision.kind === 'stop')
    return condition('Ready', 'False', decision.reason === 'Halted' ? 'Stopping' : decision.reason);
  if (trouble !== undefined) return troubled('Ready', trouble);
  if (isRunning(view)) return readyWhenSettled(view, 'Running');
  return condition('Ready', 'False', progressOf(record, state), exitMessage(record));
}

function readyWhenSettled(view: VirtualMachineView, reason: ReasonCode): ObservedCondition {
  const { record, state } = view;
  const { trouble } = record;
  if (reason === 'Running') return readyWhenWanted(view);
  // An ended VM is as it should be only once nothing of it is left.
  if (state !== 'Idle') return trouble ? troubled('Ready', trouble) : condition('Ready', 'False', 'Stopping');
  const ok = reasons[reason].action === 'none';
  // A VM that is not started again has no next start to name.
  const message = ok ? settledText(reason, record.assignment?.runStrategy) : record.lastExit?.message;
  return condition('Ready', ok ? 'True' : 'False', reason, message);
}

function readyWhenWanted(view: VirtualMachineView): ObservedCondition {
  const { record, state } = view;
  const { trouble } = record;
  if (isRunning(view)) {
    if (isGuestMissing(view)) return condition('Ready', 'False', 'GuestConnectionLost');
    return readyAsChanged(view);
  }
  if (trouble !== undefined) return troubled('Ready', trouble);
  return condition('Ready', 'False', progressOf(view.record, state), exitMessage(view.record));
}

function isGuestMissing({ guestConnected, guestExpected }: VirtualMachineView): boolean {
  return guestExpected && !guestConnected;
}

/** `Ready` of a running VM: whether it has what its manifest asks for now. */
function readyAsChanged({ changeTrouble, record }: VirtualMachineView): ObservedCondition {
  if (record.assignment?.paused === true) return condition('Ready', 'True', 'Running');
  if (!hasPendingChanges(record)) return readyWithProcess(record);
  return changeTrouble === undefined ? condition('Ready', 'False', 'Changing') : troubled('Ready', changeTrouble);
}

function readyWithProcess(record: MachineRecord): ObservedCondition {
  if (!hasProcess(record) || record.process?.state === 'running') return condition('Ready', 'True', 'Running');
  return condition('Ready', 'False', 'Starting', 'the process of the VM is being started');
}

function progressOf(record: MachineRecord, state: MachineState): ReasonCode {
  switch (state) {
    case 'Preparing':
      return 'Preparing';
    case 'Creating':
      return 'Creating';
    case 'Starting':
      return 'Starting';
    case 'Idle':
    case 'Cleaning':
      if (record.failures > 1) return 'BackOff';
      return record.lastExit === undefined ? 'Preparing' : 'Exited';
    default:
      return 'Stopping';
  }
}

function exitMessage({ lastExit, retryAfter }: MachineRecord): string | undefined {
  const again = retryAfter === undefined ? '' : `; started again after ${retryAfter}`;
  return lastExit && `${lastExit.message}${again}`;
}

function troubled(type: ObservedCondition['type'], trouble: Trouble): ObservedCondition {
  return condition(type, 'False', trouble.reason, trouble.message);
}

function condition(
  type: ObservedCondition['type'],
  status: ObservedCondition['status'],
  reason: ReasonCode,
  message: string = reasons[reason].text,
): ObservedCondition {
  return { type, status, reason, message: beginning(message, limits.messageChars) };
}

/** Whether the system exists, as far as the agent knows. After a failed creation, Stopping has no system. */
export function systemExists({ record, state }: Pick<VirtualMachineView, 'record' | 'state'>): boolean {
  const { system } = states[state];
  return system === 'asRecorded' ? record.bootTimings.created !== undefined : system === 'certain';
}

export function stalls(trouble: Trouble | undefined): boolean {
  return trouble !== undefined && reasons[trouble.reason].action === 'stall';
}
