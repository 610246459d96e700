// Which reason users see for an error that was thrown in one of a VM's states.

import { messageOf } from '../../runtime/error-text.ts';
import { MachineFailure } from '../failure.ts';
import { HcsError } from '../node/hcs-error.ts';
import { type MachineState, states } from './states.ts';

export function failureOf(state: MachineState, error: unknown): MachineFailure {
  if (error instanceof MachineFailure) return error;
  if (error instanceof HcsError && error.isCapacity)
    return new MachineFailure('InsufficientResources', error.message, error);
  if (state === 'Creating') return creationFailure(error);
  return new MachineFailure(states[state].failure, messageOf(error), error);
}

function creationFailure(error: unknown): MachineFailure {
  const isRefused = error instanceof HcsError && error.isDocumentRefused;
  const reason = isRefused ? 'DocumentRefused' : states.Creating.failure;
  return new MachineFailure(reason, `error while creating the compute system: ${messageOf(error)}`, error);
}
