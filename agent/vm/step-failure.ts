// Which reason users see for an error that was thrown in one of a VM's states.

import { messageOf } from '../../runtime/error-text.ts';
import { MachineFailure } from '../failure.ts';
import { HcsError } from '../node/hcs-error.ts';
import type { MachineState } from './states.ts';

export function failureOf(state: MachineState, error: unknown): MachineFailure {
  if (error instanceof MachineFailure) return error;
  if (error instanceof HcsError && error.isCapacity)
    return new MachineFailure('InsufficientResources', error.message, error);
  switch (state) {
    case 'Preparing':
      return new MachineFailure('StagingFailed', messageOf(error), error);
    case 'Creating':
      return new MachineFailure(
        error instanceof HcsError && error.isDocumentRefused ? 'DocumentRefused' : 'CreateFailed',
        `error while creating the compute system: ${messageOf(error)}`,
        error,
      );
    case 'Starting':
      return new MachineFailure('StartFailed', messageOf(error), error);
    case 'Cleaning':
    case 'Idle':
      return new MachineFailure('CleanUpFailed', messageOf(error), error);
    case 'Unknown':
      return new MachineFailure('HostQueryFailed', messageOf(error), error);
    default:
      return new MachineFailure('StopFailed', messageOf(error), error);
  }
}
