// Handles an error that a step of a VM threw: chooses the reason that users see, and the event that ends the state.
import { delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import { HcsError } from '../node/hcs-error.ts';
import type { VirtualMachineCore } from './core.ts';
import * as history from './history.ts';
import { handlesOf, isBooting, lost, type Outcome, type Situation } from './situation.ts';
import { rowOf, states } from './states.ts';

/** Undefined when the step is to be tried again. */
export async function afterError(
  vm: VirtualMachineCore,
  situation: Situation,
  error: unknown,
): Promise<Outcome | undefined> {
  if (error instanceof CallOverdue) return afterOverdue(vm, situation, error);
  if (error instanceof HcsError && error.isServiceDisconnect) return lost();
  const failure = failureOf(situation, error);
  const { message, reason } = failure;
  if (failure.waits) return heldUp(vm, situation, failure);
  vm.ports.logger.warn({ state: situation.state, reason, error: message }, 'a step failed');
  if (isBooting(situation)) {
    noteFailedStart(vm, situation, failure);
    return undone(situation);
  }
  vm.store.setTrouble(failure);
  const { clock, timeouts } = vm.ports;
  const outcome = undone(situation);
  await delay(clock, outcome === undefined ? timeouts.enumerateRetry : timeouts.cleanUpRetry);
  return outcome;
}

/** Rethrows in a state that awaits no calls: there, an overdue call is a mistake in the agent. */
function afterOverdue(vm: VirtualMachineCore, situation: Situation, error: CallOverdue): Outcome {
  if (!rowOf(situation.state).awaitsCalls) throw error;
  const failure = overdueFailure(error);
  if (isBooting(situation)) noteFailedStart(vm, situation, failure);
  else vm.store.setTrouble(failure);
  return { event: 'overdue', next: { state: 'Draining', overdue: error.late, handles: handlesOf(situation) } };
}

export function overdueFailure(error: CallOverdue): MachineFailure {
  const { failure, message } = error;
  return failure instanceof MachineFailure ? failure : new MachineFailure('CallOverdue', message, error);
}

/** A start that was interrupted has not failed. */
function noteFailedStart(
  { ports, store }: VirtualMachineCore,
  { interrupt }: { readonly interrupt: AbortController },
  failure: MachineFailure,
): void {
  if (interrupt.signal.aborted) return;
  store.change(history.startFailed, failure, ports);
  store.setTrouble(failure);
}

/** Another VM of the host has reserved something that this one needs. No attempt was made, so none has failed. */
function heldUp(
  { ports, store }: VirtualMachineCore,
  situation: Situation,
  { message, reason }: MachineFailure,
): Outcome | undefined {
  ports.logger.info({ reason, message }, 'the VM waits');
  store.change(history.heldUp);
  if (!isBooting(situation) || !situation.interrupt.signal.aborted) store.setTrouble({ reason, message });
  return undone(situation);
}

/** The outcome that undoes a step that had begun, or repeats the end. Undefined where nothing had begun. */
function undone(situation: Situation): Outcome | undefined {
  switch (situation.state) {
    case 'Preparing':
    case 'Cleaning':
      return { event: 'failed', next: { state: 'Cleaning' } };
    case 'Creating':
    case 'Starting':
    case 'Stopping':
      return { event: 'failed', next: { state: 'Stopping', handles: handlesOf(situation) } };
    default:
      return undefined;
  }
}

function failureOf({ state }: Situation, error: unknown): MachineFailure {
  if (error instanceof MachineFailure) return error;
  if (error instanceof HcsError && error.isCapacity)
    return new MachineFailure('InsufficientResources', error.message, error);
  if (state === 'Creating') return creationFailure(error);
  return new MachineFailure(states[state].failure, messageOf(error), error);
}

function creationFailure(error: unknown): MachineFailure {
  const isRefused = error instanceof HcsError && error.isDocumentRefused;
  const reason = isRefused ? 'DocumentRefused' : states.Creating.failure;
  const hint = isRefused
    ? '; most causes lie in the manifest, such as a path or device that the host does not have'
    : '';
  return new MachineFailure(reason, `error while creating the compute system: ${messageOf(error)}${hint}`, error);
}
