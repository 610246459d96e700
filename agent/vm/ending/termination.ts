// Terminates a compute system. Each step has a bound, and no single callback is trusted (design §8). The agent submits
// a terminate request and awaits the exit. If no exit is reported, it asks HCS for the state. An exit counts as the end
// of the request, because HCS may never complete the request's own operation.
import type { Clock } from '../../../runtime/clock.ts';
import { bounded, CallOverdue, within } from '../../bounds/bounded.ts';
import type { Timeouts } from '../../bounds/timeouts.ts';
import { MachineFailure } from '../../failure.ts';
import type { ComputeSystem, SystemEnd, SystemExit } from '../../node/backend.ts';
import { HcsError } from '../../node/hcs-error.ts';

export type TeardownEnd = { readonly kind: 'exited'; readonly exit: SystemExit } | { readonly kind: 'lost' };

const terminateRequests = 3;
const unseenExit: SystemExit = { exitType: 'Unknown', status: 0 };

/**
 * Resolves once the system has stopped. Rejects with `CallOverdue` when a call does not come back, and with a
 * `MachineFailure` (`StopFailed`) when the system outlives every request.
 */
export async function terminateSystem(system: ComputeSystem, clock: Clock, timeouts: Timeouts): Promise<TeardownEnd> {
  for (let request = 0; request < terminateRequests; request += 1) {
    const answer = await requestTermination(system, clock, timeouts);
    if (answer === 'lost') return { kind: 'lost' };
    if (answer === 'stopped') return { kind: 'exited', exit: unseenExit };
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
): Promise<'submitted' | 'stopped' | 'lost'> {
  try {
    const request = bounded(clock, timeouts.terminate, 'HcsTerminateComputeSystem', () => system.terminate());
    await Promise.race([request, system.ended]);
  } catch (error) {
    if (error instanceof CallOverdue && (await isStopped(system, clock, timeouts))) return 'stopped';
    if (!(error instanceof HcsError)) throw error;
    if (error.isServiceDisconnect) return 'lost';
    if (!error.isAlreadyStopped && !error.isNotFound) throw new MachineFailure('StopFailed', error.message, error);
  }
  return 'submitted';
}

/** How the system has ended by now; undefined when no end was reported. */
export function endSoFar(system: ComputeSystem): Promise<SystemEnd | undefined> {
  return Promise.race([system.ended, Promise.resolve(undefined)]);
}

async function endWithin(system: ComputeSystem, clock: Clock, milliseconds: number): Promise<TeardownEnd | undefined> {
  const end = await within(clock, milliseconds, system.ended);
  if (end === 'waiting') return undefined;
  if (end.kind === 'exited') return end;
  return end.kind === 'serviceDisconnected' ? { kind: 'lost' } : { kind: 'exited', exit: unseenExit };
}

/** Asks for the state, because a stopped system still answers. Rejects when the compute service is gone. */
export async function isStopped(system: ComputeSystem, clock: Clock, timeouts: Timeouts): Promise<boolean> {
  try {
    const properties = await bounded(clock, timeouts.query, 'HcsGetComputeSystemProperties', () => system.properties());
    return properties.state === 'Stopped';
  } catch (error) {
    if (error instanceof HcsError && !error.isServiceDisconnect) return error.isNotFound || error.isAlreadyStopped;
    throw error;
  }
}
