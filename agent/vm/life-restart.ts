// Restarts the life of one VM after an internal error of the agent (design §11). Only this VM begins again, in Unknown:
// the agent looks up its compute system, and the VM continues if it runs. Restarts have a back-off. After too many of
// them, the agent waits until something else is wanted of the VM.
import { delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { SystemProperties } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import { ownerTag } from '../node/system-id.ts';
import type { VirtualMachineCore } from './core.ts';
import { backOff } from './history.ts';

/** Waits for the back-off, then resolves with what HCS has of the VM. Undefined when the signal aborted. */
export async function prepareRestart(
  vm: VirtualMachineCore,
  error: unknown,
  signal: AbortSignal,
): Promise<{ readonly properties: SystemProperties | undefined } | undefined> {
  const { logger, tally } = vm.ports;
  vm.internalErrors.note();
  logger.error({ error: stackOf(error) }, 'the life of a VM ended with an internal error');
  tally?.internalError();
  vm.store.setTrouble({ reason: 'InternalError', message: `the agent failed on this VM: ${messageOf(error)}` });
  await untilDue(vm, signal);
  const properties = await look(vm, signal);
  return signal.aborted ? undefined : { properties };
}

/** Waits for the end of the back-off. If something else is wanted, the count of errors is zero and the wait ends. */
async function untilDue(vm: VirtualMachineCore, signal: AbortSignal): Promise<void> {
  const { internalErrors, ports } = vm;
  const due = internalErrors.isTooMany ? 0 : ports.clock.now() + backOff(internalErrors.count, ports);
  while (!signal.aborted && internalErrors.count > 0) {
    const wait = internalErrors.isTooMany ? undefined : due - ports.clock.now();
    if (wait !== undefined && wait <= 0) return;
    await vm.sleep(wait, signal);
  }
}

/** Rejects only when the compute service is gone. */
async function look(vm: VirtualMachineCore, signal: AbortSignal): Promise<SystemProperties | undefined> {
  const { backend, clock, logger, timeouts } = vm.ports;
  while (!signal.aborted) {
    try {
      const all = await vm.bounded('query', 'HcsEnumerateComputeSystems', () => backend.enumerate());
      return all.find(({ id, owner }) => id === vm.systemID && owner === ownerTag);
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
