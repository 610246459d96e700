// The life of one VM that ended by an error of ours begins again from Unknown (design-next §11), for this VM alone: its
// compute system is looked up anew, and goes on if it runs. With back-off, and after so many times only when something else
// is wanted of the VM.
import { delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { SystemProperties } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import { ownerTag } from '../node/system-id.ts';
import type { MachineContext } from './context.ts';
import { backOff } from './history.ts';

/** Resolves when the VM is to be looked at again, and what there is was found; or when the signal aborted. */
export async function prepareRestart(machine: MachineContext, error: unknown, signal: AbortSignal): Promise<void> {
  const { logger, tally } = machine.ports;
  machine.internalErrors.note();
  logger.error({ error: stackOf(error) }, 'the life of a VM ended with an error of ours');
  tally?.internalError();
  machine.found = undefined;
  machine.setTrouble({ reason: 'InternalError', message: `the agent failed on this VM: ${messageOf(error)}` });
  await untilDue(machine, signal);
  const properties = await look(machine, signal);
  if (!signal.aborted) machine.found = { properties };
}

/** A change of what is wanted, which counts from zero, is not waited for. */
async function untilDue(machine: MachineContext, signal: AbortSignal): Promise<void> {
  const { internalErrors, ports } = machine;
  const due = internalErrors.isTooMany ? 0 : ports.clock.now() + backOff(internalErrors.count, ports);
  while (!signal.aborted && internalErrors.count > 0) {
    const wait = internalErrors.isTooMany ? undefined : due - ports.clock.now();
    if (wait !== undefined && wait <= 0) return;
    await machine.sleep(wait, signal);
  }
}

/** Rejects only when the compute service is gone. */
async function look(machine: MachineContext, signal: AbortSignal): Promise<SystemProperties | undefined> {
  const { backend, clock, logger, timeouts } = machine.ports;
  while (!signal.aborted) {
    try {
      const all = await machine.bounded('query', 'HcsEnumerateComputeSystems', () => backend.enumerate());
      return all.find(({ id, owner }) => id === machine.systemID && owner === ownerTag);
    } catch (error) {
      if (error instanceof HcsError && error.isServiceDisconnect) throw error;
      logger.warn({ error: messageOf(error) }, 'HCS cannot be enumerated');
      await delay(clock, timeouts.enumerateRetry, signal).catch(() => undefined);
    }
  }
  return undefined;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
