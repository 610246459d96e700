// Applies those changes of a manifest that need no restart to a running VM (design §8). This is a step of the Running
// state, so nothing else is done to the VM at the same time. Every change is in the journal before it begins. A change
// that fails is reported and tried again. A change that HCS does not return from is awaited in the background.
import type { RequestedOptions } from '../../../protocol/options.ts';
import { isLasting, withFailure } from '../../../protocol/streak.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { CallOverdue } from '../../bounds/bounded.ts';
import { Build, nullGroup } from '../../document/constants.ts';
import { cpuGroupUnsupported } from '../../document/processor.ts';
import { MachineFailure } from '../../failure.ts';
import { GuestUnansweredError } from '../../guest/bridge/errors.ts';
import type { GuestModification } from '../../guest/bridge/guest-modification.ts';
import { type ChangeTarget, type HostModification, modifyDocument } from '../../modification/document.ts';
import { memorySize, processorGroup, processorLimits } from '../../modification/topology.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { Applied } from '../../preparation/applied.ts';
import { expectationsOf } from '../../run/expectations.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { Resource } from '../record.ts';
import { keepNeeded } from '../reserving.ts';
import type { Situation } from '../situation.ts';
import { revokeAccess } from './disks.ts';
import { hasPendingChanges, pendingResources, unusedAccess } from './options.ts';
import { type LiveChanges, noChange } from './progress.ts';
import * as changed from './record.ts';
import { addWanted, removeUnwanted } from './storage.ts';

type Running = Situation<'Running'>;

/** The limits of a VM whose options set none (design §8). */
const unlimited = { limit: 100_000, weight: 100 } as const;

const triesAtOnePace = 5;
/** More than the number of disks that a guest may leave unanswered (`mount-target.ts`). */
const maxUnanswered = 32;

/** Rejects only when the compute service is gone. */
export async function applyLiveChanges(vm: VirtualMachineCore, running: Running): Promise<void> {
  const { changes } = running;
  const { isOverdue, notBefore, trouble } = changes.latest;
  if (isOverdue || vm.ports.clock.now() < notBefore) return;
  if (!hasPendingChanges(vm.store.record)) {
    keepNeeded(vm);
    if (trouble !== undefined) changes.note(noChange);
    return;
  }
  try {
    const failure = await makeChanges(vm, running);
    if (failure === undefined) changes.note(noChange);
    else triedAgainLater(vm, changes, failure);
  } catch (error) {
    if (!(error instanceof CallOverdue)) throw error;
    awaited(vm, changes, error);
  }
}

/** The longest time to sleep until a change is to be tried again. */
export function untilNextChange({ ports }: VirtualMachineCore, { latest }: LiveChanges): number {
  const wait = latest.notBefore - ports.clock.now();
  return wait > 0 ? Math.min(wait, ports.timeouts.liveness) : ports.timeouts.liveness;
}

function triedAgainLater(vm: VirtualMachineCore, changes: LiveChanges, failure: MachineFailure): void {
  const { clock, logger, timeouts } = vm.ports;
  const { message, reason } = failure;
  if (failure.waits) {
    // The thing that the VM waits for may have been reserved for it meanwhile.
    const isWaiting = vm.ports.reservations.isWaiting(vm.uid);
    const notBefore = isWaiting ? clock.now() + timeouts.backOffMaximum : 0;
    changes.note({ ...noChange, trouble: { reason, message }, notBefore });
    return;
  }
  logger.warn({ reason, error: message }, 'the running VM could not be changed as assigned');
  vm.ports.tally?.liveChangeFailed(reason);
  const failures = changes.latest.failures + 1;
  const now = clock.now();
  // The first attempts are quick, so that a user learns within about a minute that the change may never succeed.
  const doubled = Math.min(timeouts.changeRetry * 2 ** Math.max(0, failures - triesAtOnePace), timeouts.backOffMaximum);
  const wait = failure.stalls ? timeouts.backOffMaximum : doubled;
  const isAnswered = !(failure.cause instanceof GuestUnansweredError);
  const streak = isAnswered ? withFailure(changes.latest.streak, now) : changes.latest.streak;
  const trouble = { reason, message, isLasting: isAnswered && isLasting(reason, streak) };
  changes.note({ trouble, notBefore: now + wait, isOverdue: false, failures, streak });
}

function awaited(vm: VirtualMachineCore, changes: LiveChanges, { late, message }: CallOverdue): void {
  vm.ports.tally?.liveChangeFailed('CallOverdue');
  const trouble = { reason: 'CallOverdue', message } as const;
  changes.note({ ...changes.latest, trouble, notBefore: 0, isOverdue: true });
  const back = () => {
    changes.note({ ...changes.latest, isOverdue: false });
    vm.wakeup.notify();
  };
  late.then(back, back);
}

/** Returns the first failure. The failure of one disk does not keep another disk from being attached. */
async function makeChanges(vm: VirtualMachineCore, running: Running): Promise<MachineFailure | undefined> {
  const failures: MachineFailure[] = [];
  const attempt = async (what: FailedChange, make: () => Promise<void>) => {
    await make().catch((error: unknown) => failures.push(failureOf(what, error)));
  };
  const { store } = vm;
  const { leaving } = running.changes;
  const target = targetOf(vm, running);
  // Detaching waits for the guest just as attaching does: a disk that is detached frees the place for the next one.
  const canChangeStorage = canReachGuest(vm, running);
  const storage = { vm, running, target, attempt };
  if (canChangeStorage) await removeUnwanted(storage);
  if (leaving.isWanted) return failures[0];
  keepNeeded(vm);
  await attempt('ChangeFailed', async () => {
    if (pendingResources(store.record).length > 0) {
      await attempt('ChangeFailed', () => changeResources(vm, running.run, target));
    }
    if (canChangeStorage) await addWanted(storage);
  });
  for (const path of unusedAccess(store.record)) await attempt('DiskFailed', () => revokeAccess(vm, path));
  await attempt('ChangeFailed', () => settleStorage(vm));
  return failures[0];
}

type FailedChange = 'ChangeFailed' | 'DiskFailed' | 'ShareFailed';

/** Rethrows errors that concern more than one change. */
function failureOf(what: FailedChange, error: unknown): MachineFailure {
  if (error instanceof CallOverdue) throw error;
  if (error instanceof MachineFailure) return error;
  if (!(error instanceof HcsError)) return new MachineFailure(what, messageOf(error), error);
  if (error.isServiceDisconnect) throw error;
  return new MachineFailure(error.isCapacity ? 'InsufficientResources' : what, error.message, error);
}

/** Changes one resource after the other until one fails (hcs-runtime B.6). Checks only the resources that change. */
async function changeResources(vm: VirtualMachineCore, run: GuestRun, target: ChangeTarget): Promise<void> {
  const { store } = vm;
  const { assignment } = store.record;
  if (assignment === undefined) throw new MachineFailure('ChangeFailed', 'nothing was assigned');
  const wanted = assignment.options;
  for (const resource of pendingResources(store.record)) {
    if (resource === 'cpuGroup') admitGroup(vm, wanted);
    store.change(changed.resourceBegun, resource);
    await store.write();
    await effects[resource](wanted, target);
    if (resource === 'memory') await refreshGuest(vm, run, target);
    store.change(changed.resourceSet, appliedTo(vm), resource, wanted);
    await store.write();
  }
}

/** Refuses the CPU groups that a boot would refuse. */
function admitGroup(vm: VirtualMachineCore, { CPUGroupID: group = '' }: RequestedOptions): void {
  vm.ports.admitGroup(group);
  if (group === '' || appliedTo(vm).osBuild >= Build.CpuGroupAtCreation) return;
  throw new MachineFailure('InvalidOptions', cpuGroupUnsupported);
}

type Effect = (wanted: RequestedOptions, target: ChangeTarget) => Promise<void>;

const effects: Readonly<Record<Resource, Effect>> = {
  async memory(wanted, target) {
    await send(target, memorySize(changed.memoryOf(wanted).sizeInMB));
  },
  async processorLimits(wanted, target) {
    const { ProcessorLimit: limit = unlimited.limit, ProcessorWeight: weight = unlimited.weight } = wanted;
    await send(target, processorLimits({ limit, weight }));
  },
  async cpuGroup({ CPUGroupID: group = '' }, target) {
    await send(target, processorGroup(nullGroup));
    if (group !== '') await send(target, processorGroup(group));
  },
};

/**
 * A failure does no harm: the guest notices the change by itself in time. A guest agent of May 2026 does not know the
 * request (hcs-runtime B.6, E.6).
 */
async function refreshGuest({ ports }: VirtualMachineCore, run: GuestRun, target: ChangeTarget): Promise<void> {
  if (!run.guestConnected) return;
  try {
    await target.guest?.({ resourceType: 'PodCgroupMemoryLimit', requestType: 'Update' });
  } catch (error) {
    ports.logger.info({ error: messageOf(error) }, 'the guest did not refresh its memory');
  }
}

/**
 * False until a guest that is expected to dial the bridge has done so. A guest that is not expected is never asked for
 * anything, so nothing waits for it.
 */
function canReachGuest(vm: VirtualMachineCore, { run }: Running): boolean {
  return !isGuestExpected(vm) || run.guestConnected;
}

function isGuestExpected(vm: VirtualMachineCore): boolean {
  return expectationsOf(appliedTo(vm).options).bridge;
}

async function settleStorage(vm: VirtualMachineCore): Promise<void> {
  const { store } = vm;
  const before = appliedTo(vm);
  store.change(changed.storageSettled, before);
  if (appliedTo(vm).optionsDigest === before.optionsDigest) return;
  try {
    await store.write();
  } catch (error) {
    // The change stays pending and is tried again, so that the journal catches up.
    store.change((record) => ({ ...record, applied: before }));
    throw error;
  }
}

function targetOf(vm: VirtualMachineCore, { changes, run, system }: Running): ChangeTarget {
  return {
    host: (document) => vm.bounded('modify', 'HcsModifyComputeSystem', () => system.modify(document)),
    guest: isGuestExpected(vm) ? (modification) => askGuest(vm, { changes, run }, modification) : undefined,
  };
}

/** Requests that a guest never answers use memory there. So their number is limited. */
async function askGuest(
  { ports }: VirtualMachineCore,
  { changes, run }: Pick<Running, 'changes' | 'run'>,
  modification: GuestModification,
): Promise<void> {
  if (changes.unanswered >= maxUnanswered) {
    throw new MachineFailure(
      'DiskFailed',
      `the guest has not answered ${maxUnanswered} changes; a restart of the VM helps`,
    );
  }
  try {
    await changes.leaving.unless(run.modify(modification, ports.timeouts.guestChange));
  } catch (error) {
    if (error instanceof GuestUnansweredError) changes.unanswered += 1;
    throw error;
  }
}

async function send(target: ChangeTarget, modification: HostModification): Promise<void> {
  await target.host(modifyDocument(modification));
}

function appliedTo({ store }: VirtualMachineCore): Applied {
  const { applied } = store.record;
  if (applied === undefined)
    throw new MachineFailure('NotCreated', 'the options that the VM was created with are not known');
  return applied;
}
