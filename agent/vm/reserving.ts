// When a VM reserves resources of its host, and when it gives them back (`reservations.ts`). A VM that is to be started
// again keeps its reservations: a restart or a crash gives no console and no disk to another VM that waits for it.

import { MachineFailure } from '../failure.ts';
import {
  diskFile,
  diskResources,
  fieldOf,
  type HostResource,
  isOfDisk,
  isOfShare,
  requireDistinct,
  requireOutside,
  resourcesOf,
  sharedFolder,
  shareResources,
} from '../preparation/host-resources.ts';
import type { WantedDisk } from '../preparation/paths/admission.ts';
import type { WantedShare } from '../preparation/paths/share-names.ts';
import type { BootPlan } from '../preparation/plan.ts';
import { disksToAttach } from './changes/options.ts';
import { sharesToAdd } from './changes/share-options.ts';
import { stalls } from './conditions.ts';
import type { VirtualMachineCore } from './core.ts';
import { decide } from './decision.ts';
import type { Conflict, Holder } from './reservations.ts';

/**
 * Call this before anything is staged. Rejects with a `MachineFailure` when the VM has to wait. The VM is woken when
 * the wait is over.
 */
export async function reserveForStart(vm: VirtualMachineCore, plan: BootPlan): Promise<void> {
  const { host, reservations } = vm.ports;
  const look = () => resourcesOf(plan.uses, (path) => host.finalPath(path));
  const wanted = await vm.lookUp('the look at the files to boot', look);
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

/**
 * Reserves all allowed disks and folders, or none: two VMs that each hold one disk that the other needs would wait
 * indefinitely.
 */
export async function reserveStorage(vm: VirtualMachineCore): Promise<void> {
  const { host, reservations } = vm.ports;
  const finalPath = (path: string) => host.finalPath(path);
  const look = async () =>
    await Promise.all([
      allowedDisks(vm).then((disks) => diskResources(disks, finalPath)),
      allowedShares(vm).then((shares) => shareResources(shares, finalPath)),
    ]);
  const [disks, shares] = await vm.lookUp('the look at the disks', look);
  const held = reservations.of(vm.uid);
  requireDistinct(held.filter(isBootFile), disks);
  requireOutside([...held.filter(isBootFile), ...disks], shares);
  const added = [...disks, ...shares];
  const wanted = [...held.filter((each) => !added.some((one) => isSame(each, one))), ...added];
  const conflict = reservations.reserve(holderOf(vm), wanted);
  if (conflict !== undefined) throw waitFor(vm, conflict, wanted);
  setReserved(vm, wanted);
}

/**
 * A VM cannot reserve a file that it may not use, and does not learn who uses it. Such a disk is refused when it is
 * attached.
 */
async function allowedDisks({ ports, store }: VirtualMachineCore): Promise<readonly WantedDisk[]> {
  const { assignment } = store.record;
  if (assignment === undefined) return [];
  return await allowedOf(assignment.options.Disks ?? [], (disk) => ports.admitDisk(assignment, disk));
}

async function allowedShares({ ports, store }: VirtualMachineCore): Promise<readonly WantedShare[]> {
  const { assignment } = store.record;
  if (assignment === undefined) return [];
  return await allowedOf(assignment.options.Shares ?? [], (share) => ports.admitShare(assignment, share));
}

async function allowedOf<T>(wanted: readonly T[], admit: (one: T) => Promise<unknown>): Promise<readonly T[]> {
  const isAllowed = (one: T) =>
    admit(one).then(
      () => true,
      // A disk that another VM uses exclusively cannot be checked now. It counts as allowed.
      (error: unknown) => error instanceof MachineFailure && !error.stalls,
    );
  const verdicts = await Promise.all(wanted.map(isAllowed));
  return wanted.filter((_, index) => verdicts[index]);
}

/** Call this right before a disk is attached: its path must still lead to the file that was reserved. */
export function requireReserved({ ports, uid }: VirtualMachineCore, disk: WantedDisk, finalPath: string): void {
  const file = diskFile(disk, finalPath);
  if (ports.reservations.of(uid).some((each) => isSame(each, file))) return;
  throw new MachineFailure('DiskFailed', `${fieldOf(file)}: ${disk.path} changed while it was being examined`);
}

/** The same for a share. A folder that is only read is not reserved. */
export function requireReservedShare({ ports, uid }: VirtualMachineCore, share: WantedShare, finalPath: string): void {
  const folder = sharedFolder(share, finalPath);
  if (share.readOnly || ports.reservations.of(uid).some((each) => isSame(each, folder))) return;
  throw new MachineFailure('ShareFailed', `${fieldOf(folder)}: ${share.path} changed while it was being examined`);
}

/** Gives back the disks and folders that a running VM neither has nor wants. */
export function keepNeeded(vm: VirtualMachineCore): void {
  const { ports, store, uid } = vm;
  const { record } = store;
  if (disksToAttach(record).length + sharesToAdd(record).length === 0) ports.reservations.leaveQueue(uid);
  const { Disks = [], Shares = [] } = record.assignment?.options ?? {};
  const disks = [...record.disks, ...Disks];
  const shares = [...(record.shares ?? []), ...Shares];
  const isNeeded = (each: HostResource) =>
    (each.disk === undefined || disks.some((disk) => isOfDisk(each, disk))) &&
    (each.share === undefined || shares.some((share) => isOfShare(each, share)));
  const held = ports.reservations.of(uid);
  const needed = held.filter(isNeeded);
  if (needed.length === held.length) return;
  ports.reservations.hold(holderOf(vm), needed);
  setReserved(vm, needed);
  store.writeLater();
}

function holderOf({ store, uid }: VirtualMachineCore): Holder {
  const { assignment } = store.record;
  return { uid, namespace: assignment?.namespace, name: assignment?.name };
}

/** Call this when nothing of the VM is left on the host. */
export function settleReservations(vm: VirtualMachineCore): void {
  const { end, ports, store, uid } = vm;
  const { record } = store;
  if (decide(record, 'absent', end.released).kind !== 'start' || stalls(record.trouble)) giveBack(vm);
  // A system whose resources were unknown is gone, so it uses nothing now.
  else ports.reservations.hold(holderOf(vm), ports.reservations.of(uid));
}

/** Call this when nothing of the VM is left and it will not start. */
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

/** The message names the holder only when it is in the same namespace. */
function failureOf({ held, holder, resource }: Conflict, namespace: string | undefined): MachineFailure {
  const reason = resource.kind === 'pipe' ? 'PipeInUse' : 'DiskInUse';
  const isOwn = holder?.namespace !== undefined && holder.namespace === namespace;
  const whose = isOwn ? `the LinuxUtilityVM ${holder.name}` : 'another VM of this host';
  const use =
    holder === undefined
      ? 'may be used by a VM of this host whose journal was lost'
      : `${useOf(resource, held)} ${whose}`;
  return new MachineFailure(reason, `${fieldOf(resource)}: ${resource.given} ${use}`);
}

/** The end of a sentence about the resource, before its user. */
function useOf({ kind }: HostResource, held = ''): string {
  if (kind === 'folder') return 'contains a file that is used by';
  return held.startsWith('folder:') ? 'is below a folder that is shared writable with' : 'is used by';
}

function isBootFile({ disk, kind }: HostResource): boolean {
  return kind === 'file' && disk === undefined;
}

function isSame(a: HostResource, b: HostResource): boolean {
  return a.disk === b.disk && a.share === b.share && a.name === b.name && a.exclusive === b.exclusive;
}

function pipeOf(resources: readonly HostResource[] | undefined): string | undefined {
  return resources?.find(({ kind }) => kind === 'pipe')?.name;
}
