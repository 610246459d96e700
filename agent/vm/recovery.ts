// The state Unknown: the VM continues from what an enumeration of HCS found. The agent adopts a VM that was running and
// may outlive its agent. It terminates any other system of the VM.
import type { ComputeSystem, SystemProperties } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import { GuestRun } from '../run/guest-run.ts';
import { LiveChanges } from './changes/progress.ts';
import type { VirtualMachineCore } from './core.ts';
import { toldExit } from './crash-log.ts';
import { endSoFar } from './ending/termination.ts';
import { guestRunPorts } from './guest-run-ports.ts';
import type { Handles } from './handles.ts';
import * as history from './history.ts';
import { takeOverProcess } from './process/relayed.ts';
import type { Outcome, Situation } from './situation.ts';

type Step = Promise<Outcome<'Unknown'> | undefined>;

export async function recover(vm: VirtualMachineCore, unknown: Situation<'Unknown'>, signal: AbortSignal): Step {
  const { found, handles, overdue } = unknown;
  if (overdue !== undefined) return { event: 'overdue', next: { state: 'Draining', overdue, handles } };
  const { assignment } = vm.store.record;
  // A system without a journal entry is reported and left alone until the operator assigns or releases the VM.
  const isStranger = found?.properties !== undefined && assignment === undefined && !vm.end.released;
  if (found === undefined || isStranger) return await vm.sleep(undefined, signal);
  return await lookAt(vm, handles, found.properties);
}

async function lookAt(vm: VirtualMachineCore, handles: Handles, properties: SystemProperties | undefined): Step {
  const { ports, store } = vm;
  const { record } = store;
  // After an internal error of the agent, the VM still has its handle.
  const system = properties === undefined ? handles.system : await openFound(vm, handles);
  if (system !== undefined && properties !== undefined && history.mayAdopt(record, properties, ports.agentBootID)) {
    return { event: 'adopted', next: await adopt(vm, system, handles, properties) };
  }
  await noteExit(vm, system);
  if (system === undefined) await handles.run?.close();
  const there = system === undefined ? undefined : properties;
  store.change(history.notAdopted, there, vm.now(), ports.agentBootID);
  store.clearTrouble('HostQueryFailed', 'CallOverdue');
  if (system === undefined) return { event: 'foundNothing', next: { state: 'Cleaning' } };
  return { event: 'leftover', next: { state: 'Stopping', handles } };
}

/** Undefined when the system has vanished since the enumeration, as when a dying agent closed its last handle. */
async function openFound(vm: VirtualMachineCore, handles: Handles): Promise<ComputeSystem | undefined> {
  const { backend } = vm.ports;
  try {
    handles.system ??= await vm.bounded('query', 'HcsOpenComputeSystem', () => backend.open(vm.systemID));
    return handles.system;
  } catch (error) {
    if (error instanceof HcsError && error.isNotFound) return undefined;
    throw error;
  }
}

/** Notes the exit of a VM whose handle knows how it ended. */
async function noteExit(vm: VirtualMachineCore, system: ComputeSystem | undefined): Promise<void> {
  const { ports, store } = vm;
  const { left, stage, stopReason } = store.record;
  const end = system === undefined ? undefined : await endSoFar(system);
  if (end?.kind !== 'exited') return;
  if (stage === 'running') store.change(history.exited, toldExit(vm, end.exit), ports);
  const isPlanned = stage === 'stopping' && stopReason !== undefined;
  if (isPlanned) store.change(history.stopped, toldExit(vm, end.exit), vm.now(), left);
}

async function adopt(
  vm: VirtualMachineCore,
  system: ComputeSystem,
  handles: Handles,
  properties: SystemProperties,
): Promise<Situation<'Running'>> {
  // Keep existing connections of the guest: a guest whose log nobody reads can die.
  const run = handles.run ?? (await hearGuest(vm, handles, properties));
  await takeOverProcess(vm, run);
  vm.store.clearTrouble('HostQueryFailed', 'CallOverdue', 'InternalError');
  vm.ports.logger.info({ runtimeID: properties.runtimeId }, 'adopted the running VM');
  return { state: 'Running', system, run, changes: handles.changes ?? new LiveChanges(vm.listener.changed) };
}

async function hearGuest(vm: VirtualMachineCore, handles: Handles, properties: SystemProperties): Promise<GuestRun> {
  await vm.log.continueEarlier(vm.store);
  const run = await GuestRun.open(vm.ports.sockets, history.runtimeIdOf(properties), guestRunPorts(vm));
  handles.run = run;
  await vm.store.tryWrite();
  run.resume();
  return run;
}
