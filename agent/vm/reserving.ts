// When a VM reserves what it uses of its host, and when it gives that back (`reservations.ts`). A VM keeps what it has while
// it is to be started again: a restart or a crash gives no console and no disk to somebody who waits for it.

import { MachineFailure } from '../failure.ts';
import {
  diskFile,
  diskResources,
  fieldOf,
  type HostResource,
  isOfDisk,
  requireDistinct,
  resourcesOf,
} from '../preparation/host-resources.ts';
import type { WantedDisk } from '../preparation/paths/admission.ts';
import type { BootPlan } from '../preparation/plan.ts';
import { disksToAttach } from './changes/options.ts';
import { stalls } from './conditions.ts';
import type { VirtualMachineCore } from './core.ts';
import { decide } from './decision.ts';
import type { Conflict, Holder } from './reservations.ts';

/** Before anything is staged. Rejects with a `MachineFailure` when the VM has to wait; it is woken when it need not. */
export async function reserveForStart(vm: VirtualMachineCore, plan: BootPlan): Promise<void> {
  const { host, reservations } = vm.ports;
  const wanted = await resourcesOf(plan.uses, (path) => host.finalPath(path));
  const conflict = reservations.reserve(holderOf(vm), wanted);
  if (conflict === undefined) {
    vm.store.clearTrouble('PipeInUse', 'DiskInUse');
    setReserved(vm, wanted);
    return;
  }
  reservations.hold(holderOf(vm), []);
  setReserved(vm, []);
  throw waitFor(vm, conflict, wanted);
}

/** All that are allowed, or none: two VMs that each have one disk of the other's would wait without end. */
export async function reserveDisks(vm: VirtualMachineCore): Promise<void> {
  const { host, reservations } = vm.ports;
  const disks = await diskResources(await allowedDisks(vm), (path) => host.finalPath(path));
  const held = reservations.of(vm.uid);
  requireDistinct(held.filter(isBootFile), disks);
  const wanted = [...held.filter((each) => !disks.some((disk) => isSame(each, disk))), ...disks];
  const conflict = reservations.reserve(holderOf(vm), wanted);
  if (conflict !== undefined) throw waitFor(vm, conflict, wanted);
  setReserved(vm, wanted);
}

/** Nobody reserves, or learns the use of, a file that it may not have. Those are refused when they are to be attached. */
async function allowedDisks({ ports, store }: VirtualMachineCore): Promise<readonly WantedDisk[]> {
  const { assignment } = store.record;
  if (assignment === undefined) return [];
  const isAllowed = (disk: WantedDisk) =>
    ports.admitDisk(assignment, disk).then(
      () => true,
      // One that another VM has for itself cannot be looked into, and need not be.
      (error: unknown) => error instanceof MachineFailure && !error.stalls,
    );
  const disks = assignment.options.Disks ?? [];
  const verdicts = await Promise.all(disks.map(isAllowed));
  return disks.filter((_, index) => verdicts[index]);
}

/** Right before it is attached: the path must still lead to the file that was reserved. */
export function requireReserved({ ports, uid }: VirtualMachineCore, disk: WantedDisk, finalPath: string): void {
  const file = diskFile(disk, finalPath);
  if (ports.reservations.of(uid).some((each) => isSame(each, file))) return;
  throw new MachineFailure('DiskFailed', `${fieldOf(file)}: ${disk.path} was changed while it was looked at`);
}

/** Of a running VM: disks that it neither has nor is to have are free for others. */
export function keepNeeded(vm: VirtualMachineCore): void {
  const { ports, store, uid } = vm;
  const { record } = store;
  if (disksToAttach(record).length === 0) ports.reservations.leaveQueue(uid);
  const disks = [...record.disks, ...(record.assignment?.options.Disks ?? [])];
  const held = ports.reservations.of(uid);
  const needed = held.filter((each) => each.disk === undefined || disks.some((disk) => isOfDisk(each, disk)));
  if (needed.length === held.length) return;
  ports.reservations.hold(holderOf(vm), needed);
  setReserved(vm, needed);
  void store.tryWrite();
}

function holderOf({ store, uid }: VirtualMachineCore): Holder {
  const { assignment } = store.record;
  return { uid, namespace: assignment?.namespace, name: assignment?.name };
}

/** Nothing of the VM is left on the host. */
export function settleReservations(vm: VirtualMachineCore): void {
  const { end, ports, store, uid } = vm;
  const { record } = store;
  if (decide(record, 'absent', end.released).kind !== 'start' || stalls(record.trouble)) giveBack(vm);
  // What an unknown system had is known now: nothing.
  else ports.reservations.hold(holderOf(vm), ports.reservations.of(uid));
}

/** It is not going to start, and nothing of it is left. */
export function giveBack(vm: VirtualMachineCore): void {
  vm.ports.reservations.release(vm.uid);
  vm.claim.heldUpUntil = 0;
  vm.store.clearTrouble('PipeInUse', 'DiskInUse');
  setReserved(vm, []);
}

function setReserved(vm: VirtualMachineCore, reserved: readonly HostResource[]): void {
  if (pipeOf(vm.store.record.reserved) !== pipeOf(reserved)) vm.claim.endConsole();
  if (reserved.length > 0 || vm.store.record.reserved !== undefined) {
    vm.store.change((record) => ({ ...record, reserved: [...reserved] }));
  }
}

function waitFor(vm: VirtualMachineCore, conflict: Conflict, wanted: readonly HostResource[]): MachineFailure {
  const { clock, reservations, timeouts } = vm.ports;
  vm.claim.heldUpUntil = clock.now() + timeouts.backOffMaximum;
  reservations.wait(holderOf(vm), wanted, () => vm.listener.reserved());
  return failureOf(conflict, vm.store.record.assignment?.namespace);
}

/** Whose it is says the message only within a namespace. */
function failureOf({ holder, resource }: Conflict, namespace: string | undefined): MachineFailure {
  const reason = resource.kind === 'pipe' ? 'PipeInUse' : 'DiskInUse';
  const isOwn = holder?.namespace !== undefined && holder.namespace === namespace;
  const whose = isOwn ? `the LinuxUtilityVM ${holder.name}` : 'another VM of this host';
  const use = holder === undefined ? 'may be used by a VM of this host whose journal was lost' : `is used by ${whose}`;
  return new MachineFailure(reason, `${fieldOf(resource)}: ${resource.given} ${use}`);
}

function isBootFile({ disk, kind }: HostResource): boolean {
  return kind === 'file' && disk === undefined;
}

function isSame(a: HostResource, b: HostResource): boolean {
  return a.disk === b.disk && a.name === b.name && a.exclusive === b.exclusive;
}

function pipeOf(resources: readonly HostResource[] | undefined): string | undefined {
  return resources?.find(({ kind }) => kind === 'pipe')?.name;
}
