// Creates the compute system of a VM. An id that HCS still knows is that of a leftover of ours, or of somebody else's system:
// a leftover is opened, terminated, awaited and closed, and the system is created after all; what is not ours is left alone.

import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import type { ComputeSystem } from '../node/backend.ts';
import { HcsError, hresult } from '../node/hcs-error.ts';
import { ownerTag } from '../node/system-id.ts';
import type { MachineContext } from './context.ts';
import { terminateSystem } from './ending/termination.ts';

/** The VM has the system then. Another leftover is for the next attempt. */
export async function createReplacing(machine: MachineContext, document: string): Promise<ComputeSystem> {
  try {
    return await create(machine, document);
  } catch (error) {
    if (!machine.idIsTaken || !(await endLeftover(machine))) throw error;
    return await create(machine, document);
  }
}

async function create(machine: MachineContext, document: string): Promise<ComputeSystem> {
  const { backend } = machine.ports;
  const begin = () =>
    backend.create(machine.systemID, document, (unfinished) => {
      machine.unfinished = unfinished;
    });
  try {
    const system = await machine.bounded('create', 'HcsCreateComputeSystem', begin);
    machine.unfinished = undefined;
    machine.system = system;
    return system;
  } catch (error) {
    // An overdue one is still to be ended.
    if (!(error instanceof CallOverdue)) machine.unfinished = undefined;
    machine.idIsTaken = error instanceof HcsError && error.isAlreadyExists;
    throw error;
  }
}

/**
 * Ends the system that has the id of the VM. False when it is somebody else's. Rejects when it cannot be opened or ended;
 * one of ours is then the VM's to stop.
 */
export async function endLeftover(machine: MachineContext): Promise<boolean> {
  const { clock, logger, timeouts } = machine.ports;
  const { systemID } = machine;
  const system = await openTaken(machine);
  const isOurs = system === undefined || (await isOurOwn(machine, system));
  machine.idIsTaken = false;
  if (system !== undefined && isOurs) {
    logger.warn({ systemID }, 'a system was left over under the id of the VM; it is terminated');
    machine.system = system;
    const end = await terminateSystem(system, clock, timeouts);
    if (end.kind === 'lost') throw new HcsError('HcsTerminateComputeSystem', hresult.serviceDisconnect);
  }
  if (system !== undefined) await machine.bounded('closeHandle', 'HcsCloseComputeSystem', () => system.close());
  machine.system = undefined;
  return isOurs;
}

/** Undefined when it has gone meanwhile. */
async function openTaken(machine: MachineContext): Promise<ComputeSystem | undefined> {
  const { backend, logger } = machine.ports;
  const call = 'HcsOpenComputeSystem';
  const opening = backend.open(machine.systemID);
  try {
    return await machine.bounded('query', call, () => opening);
  } catch (error) {
    if (error instanceof HcsError && error.isNotFound) return undefined;
    if (!(error instanceof CallOverdue)) throw error;
    // Whose it is was not asked yet, so it is not kept as the system of the VM.
    opening
      .then((system) => system.close())
      .catch((late: unknown) => logger.warn({ error: messageOf(late) }, 'an overdue call failed'));
    throw new MachineFailure('CallOverdue', error.message, error);
  }
}

async function isOurOwn(machine: MachineContext, system: ComputeSystem): Promise<boolean> {
  try {
    const { owner } = await machine.bounded('query', 'HcsGetComputeSystemProperties', () => system.properties());
    return owner === ownerTag;
  } catch (error) {
    void system.close().catch(() => undefined);
    throw error;
  }
}
