// Ends a compute system: a ladder of which each rung is bounded, and no single callback is trusted (design §8). Submits a
// terminate request, awaits the exit, and asks HCS for the state when none is reported.
import type { Clock } from '../protocol/clock.ts';
import { bounded } from './bounded.ts';
import { MachineFailure } from './failure.ts';
import type { ComputeSystem, SystemExit } from './hcs/backend.ts';
import { HcsError } from './hcs/errors.ts';
import type { Timeouts } from './timeouts.ts';

export type TeardownEnd = { readonly kind: 'exited'; readonly exit: SystemExit } | { readonly kind: 'lost' };

const terminateRequests = 3;
const unseenExit: SystemExit = { exitType: 'Unknown', status: 0 };

/**
 * Resolves once the system has stopped. Rejects with `CallOverdue` when a call does not come back, and with a
 * `MachineFailure` (`StopFailed`) when the system outlives every request.
 */
export async function terminateSystem(system: ComputeSystem, clock: Clock, timeouts: Timeouts): Promise<TeardownEnd> {
  for (let request = 0; request < terminateRequests; request += 1) {
    const refusal = await requestTermination(system, clock, timeouts);
    if (refusal === 'lost') return { kind: 'lost' };
    const end = await endWithin(system, clock, timeouts.exit);
    if (end !== undefined) return end;
    if (await isStopped(system, clock, timeouts)) return { kind: 'exited', exit: unseenExit };
  }
  throw new MachineFailure('StopFailed', `HCS did not stop ${system.id} after ${terminateRequests} requests`);
}

async function requestTermination(
  system: ComputeSystem,
  clock: Clock,
  timeouts: Timeouts,
): Promise<'submitted' | 'lost'> {
  try {
    await bounded(clock, timeouts.terminate, 'HcsTerminateComputeSystem', () => system.terminate());
  } catch (error) {
    if (!(error instanceof HcsError)) throw error;
    if (error.isServiceDisconnect) return 'lost';
    if (!error.isAlreadyStopped && !error.isNotFound) throw new MachineFailure('StopFailed', error.message, error);
  }
  return 'submitted';
}

function endWithin(system: ComputeSystem, clock: Clock, milliseconds: number): Promise<TeardownEnd | undefined> {
  return new Promise((resolve) => {
    const timer = clock.after(milliseconds, () => resolve(undefined));
    system.ended.then((end) => {
      timer.cancel();
      if (end.kind === 'exited') resolve(end);
      else if (end.kind === 'serviceDisconnected') resolve({ kind: 'lost' });
      else resolve({ kind: 'exited', exit: unseenExit });
    });
  });
}

/** A stopped system still answers: its state is what counts. */
export async function isStopped(system: ComputeSystem, clock: Clock, timeouts: Timeouts): Promise<boolean> {
  try {
    const properties = await bounded(clock, timeouts.query, 'HcsGetComputeSystemProperties', () => system.properties());
    return properties.state === 'Stopped';
  } catch (error) {
    if (error instanceof HcsError) return error.isNotFound || error.isAlreadyStopped;
    throw error;
  }
}
