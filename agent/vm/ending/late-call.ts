// Awaits a call that exceeded its bound. The call may have created or opened a system after all. Its handle is kept, so
// that the system gets terminated.
import { messageOf } from '../../../runtime/error-text.ts';
import type { ComputeSystem } from '../../node/backend.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { Handles } from '../handles.ts';

interface LateResultOptions {
  readonly handles: Handles;
  /** Aborts when nobody waits for the call any more. */
  readonly givenUp: AbortSignal;
}

export async function lateResult(
  { ports }: VirtualMachineCore,
  call: Promise<unknown>,
  { givenUp, handles }: LateResultOptions,
): Promise<'returned' | 'lost'> {
  let end: 'returned' | 'lost' = 'returned';
  const result = await call.catch((error: unknown) => {
    ports.logger.warn({ error: messageOf(error) }, 'an overdue call returned with an error');
    if (error instanceof HcsError && error.isServiceDisconnect) end = 'lost';
    return undefined;
  });
  if (givenUp.aborted) return end;
  handles.unfinished = undefined;
  if (handles.system === undefined && isComputeSystem(result)) handles.system = result;
  return end;
}

function isComputeSystem(value: unknown): value is ComputeSystem {
  return typeof value === 'object' && value !== null && 'terminate' in value && 'ended' in value;
}
