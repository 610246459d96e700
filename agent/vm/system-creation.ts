// Creates the compute system of a VM. If HCS already has a system with this id, it is a leftover of the agent or
// belongs to another program. A leftover is opened, terminated, awaited and closed, and the creation is repeated. The
// system of another program is left alone.

import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import type { ComputeSystem } from '../node/backend.ts';
import { HcsError, hresult } from '../node/hcs-error.ts';
import { ownerTag } from '../node/system-id.ts';
import type { VirtualMachineCore } from './core.ts';
import { leaveGuest } from './ending/stop-ladder.ts';
import { terminateSystem } from './ending/termination.ts';
import type { Handles } from './handles.ts';
import { strangerEnded } from './history.ts';

/** Creates the system and stores its handle. If a second leftover is in the way, the next attempt handles it. */
export async function createReplacing(
  vm: VirtualMachineCore,
  handles: Handles,
  document: string,
): Promise<ComputeSystem> {
  try {
    return await create(vm, handles, document);
  } catch (error) {
    if (!handles.idIsTaken || !(await endLeftover(vm, handles))) throw error;
    return await create(vm, handles, document);
  }
}

async function create(vm: VirtualMachineCore, handles: Handles, document: string): Promise<ComputeSystem> {
  const { backend } = vm.ports;
  const begin = () =>
    backend.create(vm.systemID, document, (unfinished) => {
      handles.unfinished = unfinished;
    });
  try {
    const system = await vm.bounded('create', 'HcsCreateComputeSystem', begin);
    handles.unfinished = undefined;
    handles.system = system;
    return system;
  } catch (error) {
    // After an overdue call, the handle is still needed to terminate the system.
    if (!(error instanceof CallOverdue)) handles.unfinished = undefined;
    handles.idIsTaken = error instanceof HcsError && error.isAlreadyExists;
    throw error;
  }
}

/**
 * Terminates the system that has the id of the VM. False when it belongs to another program. Rejects when the system
 * cannot be opened or terminated; the VM's next step then stops a leftover.
 */
export async function endLeftover(vm: VirtualMachineCore, handles: Handles): Promise<boolean> {
  const { clock, logger, timeouts } = vm.ports;
  const { systemID } = vm;
  const system = await openTaken(vm);
  const isOurs = system === undefined || (await isOurOwn(vm, system));
  handles.idIsTaken = false;
  if (system !== undefined && isOurs) {
    logger.warn({ systemID }, 'a system was left over under the id of the VM; it is terminated');
    handles.system = system;
    const left = await leaveGuest(vm, system, handles);
    const end = await terminateSystem(system, clock, timeouts);
    if (end.kind === 'lost') throw new HcsError('HcsTerminateComputeSystem', hresult.serviceDisconnect);
    if (left !== undefined) vm.store.change(strangerEnded, vm.now(), left);
    await handles.run?.close();
    handles.run = undefined;
    handles.guestLeft = undefined;
  }
  if (system !== undefined) await vm.bounded('closeHandle', 'HcsCloseComputeSystem', () => system.close());
  handles.system = undefined;
  return isOurs;
}

/** Undefined when the system has vanished meanwhile. */
async function openTaken(vm: VirtualMachineCore): Promise<ComputeSystem | undefined> {
  const { backend, logger } = vm.ports;
  const call = 'HcsOpenComputeSystem';
  const opening = backend.open(vm.systemID);
  try {
    return await vm.bounded('query', call, () => opening);
  } catch (error) {
    if (error instanceof HcsError && error.isNotFound) return undefined;
    if (!(error instanceof CallOverdue)) throw error;
    // The owner was not checked yet, so this handle is not kept as the system of the VM.
    opening
      .then((system) => system.close())
      .catch((late: unknown) => logger.warn({ error: messageOf(late) }, 'an overdue call failed'));
    throw new MachineFailure('CallOverdue', error.message, error);
  }
}

async function isOurOwn(vm: VirtualMachineCore, system: ComputeSystem): Promise<boolean> {
  try {
    const { owner } = await vm.bounded('query', 'HcsGetComputeSystemProperties', () => system.properties());
    return owner === ownerTag;
  } catch (error) {
    void system.close().catch(() => undefined);
    throw error;
  }
}
