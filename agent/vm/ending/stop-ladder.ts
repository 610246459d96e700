// The stop ladder: the steps for a guest before the agent cuts the power of its VM (design §8, "A planned stop"). Each
// step has a bound. A step that fails is noted, and the next one follows:
//
//   the process of the VM: send TERM, wait for its grace period, send KILL (`stop-process.ts`)
//   with mounted disks or shares, processes that users started: send TERM, wait, send KILL
//   writable shares, then writable disks: unmount them, the deepest path first
//   if a disk stays mounted: write it and make it read-only by the kernel's emergency functions, or write it by `sync`
//
// If the guest cannot be reached, nothing waits for it.

import { messageOf } from '../../../runtime/error-text.ts';
import { within } from '../../bounds/bounded.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import { MachineFailure } from '../../failure.ts';
import { signalCommand } from '../../guest/bridge/leaving-scripts.ts';
import { inTime } from '../../guest/bridge/mount-look.ts';
import type { ComputeSystem, SystemProperties } from '../../node/backend.ts';
import { GuestRun } from '../../run/guest-run.ts';
import type { VirtualMachineCore } from '../core.ts';
import { guestRunPorts } from '../guest-run-ports.ts';
import type { Handles } from '../handles.ts';
import { isStranger, runtimeIdOf } from '../history.ts';
import { takeOverProcess } from '../process/relayed.ts';
import { saveLeft, unmountAll } from './stop-disks.ts';
import { endProcess, hasLiveProcess } from './stop-process.ts';
import {
  describeLeft,
  describeStranger,
  type LeftMount,
  leftOf,
  mountedWritable,
  type Saved,
  type StopMount,
} from './stop-report.ts';
import { endSoFar } from './termination.ts';

/** The share of the disks' time for unmounting. The rest is for writing the disks that could not be unmounted. */
const unmountShare = 0.6;

/** Resolves with a text for `lastExit`: which disks stayed mounted, and their fate. Undefined without such disks. */
export async function leaveGuest(
  vm: VirtualMachineCore,
  system: ComputeSystem,
  handles: Handles,
): Promise<string | undefined> {
  if (handles.guestLeft === undefined) {
    const text = await leave(vm, system, handles);
    handles.guestLeft = { text };
    if (text !== undefined) vm.ports.logger.warn({ left: text }, 'the VM ends with mounted disks');
  }
  return handles.guestLeft.text;
}

async function leave(vm: VirtualMachineCore, system: ComputeSystem, handles: Handles): Promise<string | undefined> {
  const { record } = vm.store;
  const disks = mountedWritable(record);
  const isTakenOver = handles.run === undefined;
  const isLeft = !isTakenOver && disks.length === 0 && !hasLiveProcess(vm);
  if (isLeft || (await endSoFar(system)) !== undefined) return undefined;
  const properties = await look(vm, system);
  if (properties?.state === 'Stopped') return undefined;
  if (isTakenOver && properties !== undefined && isStranger(record, properties)) {
    return await leaveStranger(vm, handles, properties);
  }
  if (properties?.state !== 'Paused') await leaveProcess(vm, handles, properties);
  if (disks.length === 0) return undefined;
  const left = await saveDisks(vm, handles, properties, disks).catch((error: unknown) => ({
    disks: disks.map(leftOf),
    saved: notSaved(error),
  }));
  return describeLeft(left.disks, left.saved);
}

async function leaveProcess(
  vm: VirtualMachineCore,
  handles: Handles,
  properties: SystemProperties | undefined,
): Promise<void> {
  if (!hasLiveProcess(vm)) return;
  try {
    await endProcess(vm, await reach(vm, handles, properties));
  } catch (error) {
    vm.ports.logger.info({ error: messageOf(error) }, 'no signal to the process of the VM');
  }
}

/** The agent does not know what this guest has mounted, so it lets the guest write all disks. */
async function leaveStranger(vm: VirtualMachineCore, handles: Handles, properties: SystemProperties): Promise<string> {
  const { clock, timeouts } = vm.ports;
  try {
    const run = await reach(vm, handles, properties);
    return describeStranger(await saveLeft({ vm, run, end: clock.now() + timeouts.leaveDisks }, []));
  } catch (error) {
    return describeStranger(notSaved(error));
  }
}

function notSaved(error: unknown): Saved {
  return { kind: 'not', why: messageOf(error) };
}

/** Rejects with the reason when nothing can be done. */
async function saveDisks(
  vm: VirtualMachineCore,
  handles: Handles,
  properties: SystemProperties | undefined,
  disks: readonly StopMount[],
): Promise<{ readonly disks: readonly LeftMount[]; readonly saved: Saved }> {
  const run = await reach(vm, handles, properties);
  const { clock, timeouts } = vm.ports;
  if (isWaitingForGuest(vm, handles)) {
    const left = disks.map(leftOf);
    return { disks: left, saved: await saveLeft({ vm, run, end: clock.now() + timeouts.leaveOverdue }, left) };
  }
  await endProcesses(vm, run);
  const end = clock.now() + timeouts.leaveDisks;
  const left = await unmountAll({ vm, run, end: clock.now() + timeouts.leaveDisks * unmountShare }, disks);
  return { disks: left, saved: left.length === 0 ? { kind: 'written' } : await saveLeft({ vm, run, end }, left) };
}

/**
 * Whether a call about disks is still unanswered. A guest that has not answered a mount may not answer the next request
 * either, and HCS may not return from any call about disks.
 */
function isWaitingForGuest({ store }: VirtualMachineCore, { changes }: Handles): boolean {
  const { disks, shares = [] } = store.record;
  const isMounting =
    disks.some(({ state }) => state === 'attaching') || shares.some(({ state }) => state === 'mounting');
  return changes?.latest.isOverdue === true || isMounting;
}

async function reach(
  vm: VirtualMachineCore,
  handles: Handles,
  properties: SystemProperties | undefined,
): Promise<GuestRun> {
  if (properties?.state === 'Paused') throw unreachable('the VM is paused');
  if (handles.run === undefined) {
    // An earlier agent was stopping the VM. The guest dials any agent that listens.
    if (properties === undefined) throw unreachable('HCS does not say how to reach the guest');
    await vm.log.continueEarlier(vm.store);
    handles.run = await GuestRun.open(vm.ports.sockets, runtimeIdOf(properties), guestRunPorts(vm));
    handles.run.resume();
    await takeOverProcess(vm, handles.run);
  }
  const { run } = handles;
  if (!run.guestConnected && (await run.firstConnection()) === 'waiting') {
    throw unreachable('the guest has not connected to this agent');
  }
  if (!run.guestConnected) throw unreachable('the guest is not connected');
  return run;
}

/** Undefined when HCS gives no properties. The guest can be asked even then. */
async function look({ ports }: VirtualMachineCore, system: ComputeSystem): Promise<SystemProperties | undefined> {
  try {
    const properties = await within(ports.clock, fixedTimes.vm.pausedLook, system.properties());
    return properties === 'waiting' ? undefined : properties;
  } catch (error) {
    ports.logger.warn({ error: messageOf(error) }, 'HCS does not say whether the VM is paused');
    return undefined;
  }
}

function unreachable(why: string): MachineFailure {
  return new MachineFailure('GuestConnectionLost', why);
}

/** Ends the processes that users started in the guest, because they may use the disks that are unmounted next. */
async function endProcesses({ ports }: VirtualMachineCore, run: GuestRun): Promise<void> {
  const { clock, logger, timeouts } = ports;
  const known = run.processes;
  for (const signal of ['TERM', 'KILL'] as const) {
    const running = known.filter((id) => run.processes.includes(id));
    if (running.length === 0) return;
    const asked = inTime(run.run(signalCommand(signal, running)), clock, timeouts.leaveProcesses);
    await asked.catch((error: unknown) => logger.info({ error: messageOf(error) }, 'no signal to the processes'));
    await within(clock, timeouts.leaveProcesses, run.processesEnded(running));
  }
}
