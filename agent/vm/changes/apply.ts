// Gives a running VM what its manifest asks for now, as far as that needs no restart (design §8): a step of its Running
// state, so that nothing else is done to the VM meanwhile. Every change is in the journal before it is begun. One that
// fails is shown and tried again; one that HCS does not come back from is waited for in the background.
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
import { type MachineContext, noChange } from '../context.ts';
import type { Resource } from '../record.ts';
import { keepNeeded, reserveDisks } from '../reserving.ts';
import { attach, detach, revokeAccess } from './disks.ts';
import { disksToAttach, disksToDetach, hasPendingChanges, pendingResources, unusedAccess } from './options.ts';
import * as changed from './record.ts';

/** What a VM has that says nothing of its limits (design §8). */
const unlimited = { limit: 100_000, weight: 100 } as const;

const triesAtOnePace = 5;
/** More than the disks that a guest may leave unanswered (`mount-target.ts`). */
const maxUnanswered = 32;

/** Rejects only when the compute service is gone. */
export async function applyLiveChanges(machine: MachineContext): Promise<void> {
  const { change, ports } = machine;
  if (change.isOverdue || ports.clock.now() < change.notBefore) return;
  if (!hasPendingChanges(machine.record)) {
    keepNeeded(machine);
    if (change.trouble !== undefined) machine.setChange(noChange);
    return;
  }
  try {
    const failure = await makeChanges(machine);
    if (failure === undefined) machine.setChange(noChange);
    else triedAgainLater(machine, failure);
  } catch (error) {
    if (!(error instanceof CallOverdue)) throw error;
    awaited(machine, error);
  }
}

/** How long to sleep at most, in case a change is to be tried again. */
export function untilNextChange({ change, ports }: MachineContext): number {
  const wait = change.notBefore - ports.clock.now();
  return wait > 0 ? Math.min(wait, ports.timeouts.liveness) : ports.timeouts.liveness;
}

function triedAgainLater(machine: MachineContext, failure: MachineFailure): void {
  const { clock, logger, timeouts } = machine.ports;
  const { message, reason } = failure;
  if (failure.waits) {
    // What it waits for may have been reserved for it meanwhile.
    const isWaiting = machine.ports.reservations.isWaiting(machine.uid);
    const notBefore = isWaiting ? clock.now() + timeouts.backOffMaximum : 0;
    machine.setChange({ ...noChange, trouble: { reason, message }, notBefore });
    return;
  }
  logger.warn({ reason, error: message }, 'the running VM was not changed as it is wanted');
  machine.ports.tally?.liveChangeFailed(reason);
  const failures = machine.change.failures + 1;
  const now = clock.now();
  // Whoever waits for it learns within about a minute that it may be in vain.
  const doubled = Math.min(timeouts.changeRetry * 2 ** Math.max(0, failures - triesAtOnePace), timeouts.backOffMaximum);
  const wait = failure.stalls ? timeouts.backOffMaximum : doubled;
  const isAnswered = !(failure.cause instanceof GuestUnansweredError);
  const streak = isAnswered ? withFailure(machine.change.streak, now) : machine.change.streak;
  const trouble = { reason, message, isLasting: isAnswered && isLasting(reason, streak) };
  machine.setChange({ trouble, notBefore: now + wait, isOverdue: false, failures, streak });
}

function awaited(machine: MachineContext, { late, message }: CallOverdue): void {
  machine.ports.tally?.liveChangeFailed('CallOverdue');
  const trouble = { reason: 'CallOverdue', message } as const;
  machine.setChange({ ...machine.change, trouble, notBefore: 0, isOverdue: true });
  const back = () => {
    machine.setChange({ ...machine.change, isOverdue: false });
    machine.wakeup.notify();
  };
  late.then(back, back);
}

/** The first failure. One disk's does not keep another from being attached. */
async function makeChanges(machine: MachineContext): Promise<MachineFailure | undefined> {
  const failures: MachineFailure[] = [];
  const attempt = async (what: 'ChangeFailed' | 'DiskFailed', make: () => Promise<void>) => {
    await make().catch((error: unknown) => failures.push(failureOf(what, error)));
  };
  const target = targetOf(machine);
  // Disks wait for the guest together: one that goes makes room for one that comes.
  const canChangeDisks = canReachGuest(machine);
  for (const disk of canChangeDisks ? disksToDetach(machine.record) : []) {
    await attempt('DiskFailed', () => detach(machine, disk, target));
  }
  if (machine.leaving.isWanted) return failures[0];
  keepNeeded(machine);
  await attempt('ChangeFailed', async () => {
    const disks = canChangeDisks ? disksToAttach(machine.record) : [];
    if (pendingResources(machine.record).length > 0) {
      await attempt('ChangeFailed', () => changeResources(machine, target));
    }
    if (disks.length > 0) await reserveDisks(machine);
    for (const disk of disks) {
      if (!machine.leaving.isWanted) await attempt('DiskFailed', () => attach(machine, disk, target));
    }
  });
  for (const path of unusedAccess(machine.record)) await attempt('DiskFailed', () => revokeAccess(machine, path));
  await attempt('ChangeFailed', () => settleDisks(machine));
  return failures[0];
}

/** Rethrows what is no matter of one change. */
function failureOf(what: 'ChangeFailed' | 'DiskFailed', error: unknown): MachineFailure {
  if (error instanceof CallOverdue) throw error;
  if (error instanceof MachineFailure) return error;
  if (!(error instanceof HcsError)) return new MachineFailure(what, messageOf(error), error);
  if (error.isServiceDisconnect) throw error;
  return new MachineFailure(error.isCapacity ? 'InsufficientResources' : what, error.message, error);
}

/** One after the other, ending with the first that fails (hcs-runtime B.6). Nothing is looked at but what is changed. */
async function changeResources(machine: MachineContext, target: ChangeTarget): Promise<void> {
  const { assignment } = machine.record;
  if (assignment === undefined) throw new MachineFailure('ChangeFailed', 'nothing was assigned');
  const wanted = assignment.options;
  for (const resource of pendingResources(machine.record)) {
    if (resource === 'cpuGroup') admitGroup(machine, wanted);
    machine.record = changed.resourceBegun(machine.record, resource);
    await machine.write();
    await effects[resource](machine, wanted, target);
    machine.record = changed.resourceSet(machine.record, appliedTo(machine), resource, wanted);
    await machine.write();
  }
}

/** What a boot would refuse is refused here too. */
function admitGroup(machine: MachineContext, { CPUGroupID: group = '' }: RequestedOptions): void {
  machine.ports.admitGroup(group);
  if (group === '' || appliedTo(machine).osBuild >= Build.CpuGroupAtCreation) return;
  throw new MachineFailure('InvalidOptions', cpuGroupUnsupported);
}

type Effect = (machine: MachineContext, wanted: RequestedOptions, target: ChangeTarget) => Promise<void>;

const effects: Readonly<Record<Resource, Effect>> = {
  async memory(machine, wanted, target) {
    await send(target, memorySize(changed.memoryOf(wanted).sizeInMB));
    await refreshGuest(machine, target);
  },
  async processorLimits(_machine, wanted, target) {
    const { ProcessorLimit: limit = unlimited.limit, ProcessorWeight: weight = unlimited.weight } = wanted;
    await send(target, processorLimits({ limit, weight }));
  },
  async cpuGroup(_machine, { CPUGroupID: group = '' }, target) {
    await send(target, processorGroup(nullGroup));
    if (group !== '') await send(target, processorGroup(group));
  },
};

/** The guest learns by itself in time; one of May 2026 does not know the request (hcs-runtime B.6, E.6). */
async function refreshGuest(machine: MachineContext, target: ChangeTarget): Promise<void> {
  if (machine.run?.guestConnected !== true) return;
  try {
    await target.guest?.({ resourceType: 'PodCgroupMemoryLimit', requestType: 'Update' });
  } catch (error) {
    machine.ports.logger.info({ error: messageOf(error) }, 'the guest did not refresh its memory');
  }
}

/** A guest that dials us will be there; one that does not is never asked for anything. */
function canReachGuest(machine: MachineContext): boolean {
  return !isGuestExpected(machine) || machine.run?.guestConnected === true;
}

function isGuestExpected(machine: MachineContext): boolean {
  return expectationsOf(appliedTo(machine).options).bridge;
}

async function settleDisks(machine: MachineContext): Promise<void> {
  const before = machine.record;
  machine.record = changed.disksSettled(before, appliedTo(machine));
  if (machine.record.applied?.optionsDigest === before.applied?.optionsDigest) return;
  try {
    await machine.write();
  } catch (error) {
    // Tried again like every change, so that the journal does not stay behind.
    machine.record = before;
    throw error;
  }
}

function targetOf(machine: MachineContext): ChangeTarget {
  const system = machine.currentSystem();
  const run = machine.currentRun();
  return {
    host: (document) => machine.bounded('modify', 'HcsModifyComputeSystem', () => system.modify(document)),
    guest: isGuestExpected(machine) ? (modification) => askGuest(machine, run, modification) : undefined,
  };
}

/** A guest that answers nothing keeps what it was asked for: it is not asked without end. */
async function askGuest(machine: MachineContext, run: GuestRun, modification: GuestModification): Promise<void> {
  if (machine.unanswered >= maxUnanswered) {
    throw new MachineFailure(
      'DiskFailed',
      `the guest has left ${maxUnanswered} changes unanswered; a restart of the VM helps`,
    );
  }
  try {
    await machine.leaving.unless(run.modify(modification, machine.ports.timeouts.guestChange));
  } catch (error) {
    if (error instanceof GuestUnansweredError) machine.unanswered += 1;
    throw error;
  }
}

async function send(target: ChangeTarget, modification: HostModification): Promise<void> {
  await target.host(modifyDocument(modification));
}

function appliedTo({ record }: MachineContext): Applied {
  if (record.applied === undefined) throw new MachineFailure('NotCreated', 'it is not known how the VM was made');
  return record.applied;
}
