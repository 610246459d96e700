// Attaches and detaches disks of a running VM. The journal has a disk and its place before the first call for it, and
// keeps them until nothing is left of the disk. If an agent died while it attached a disk, or the guest did not answer,
// the disk may be there or not. Then the guest is asked first: a mounted disk is kept. Any other disk is detached
// first, and then attached at another place.
import { MachineFailure } from '../../failure.ts';
import { type ChangeTarget, mayHaveHappened } from '../../modification/document.ts';
import { attachDisk, type ScsiDisk, unmountDisk, unplugDisk } from '../../modification/scsi.ts';
import { firstFreeMountPath, firstFreeSlot } from '../../modification/scsi-slots.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { AdmittedDisk, WantedDisk } from '../../preparation/paths/admission.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { MachineRecord, VirtualMachineDisk } from '../record.ts';
import { requireReserved } from '../reserving.ts';
import type { Situation } from '../situation.ts';
import { askUnlessLeaving, diskPlace, lookForMount, requireFreeTarget } from './mount-target.ts';
import { fileOf, filesystemOf, isWanted } from './options.ts';
import * as changed from './record.ts';

/** The errors of HCS when what is to be removed is not there: E_INVALIDARG, ERROR_NOT_FOUND. */
export const nothingThere: ReadonlySet<number> = new Set([0x8007_0057, 0x8007_0490]);

export async function attach(
  vm: VirtualMachineCore,
  running: Situation<'Running'>,
  wanted: WantedDisk,
  target: ChangeTarget,
): Promise<void> {
  const { store } = vm;
  const { path: finalPath, isShared } = await admitted(vm, wanted);
  requireReserved(vm, wanted, finalPath);
  const place = placed(store.record, wanted, target.guest !== undefined);
  const disk = finalPath === wanted.path ? place : { ...place, finalPath };
  store.change(changed.diskBegun, disk, isShared);
  let mayBeThere = false;
  try {
    await store.write();
    await requireFreeTarget(vm, running, diskPlace(disk));
    await grantAccess(vm, fileOf(disk), isShared);
    await attachDisk(scsiDisk(disk), target, (error) => {
      mayBeThere = true;
      vm.ports.logger.warn({ disk: disk.name, error: String(error) }, 'a disk was left behind');
    });
  } catch (error) {
    if (disk.guestPath !== undefined) running.changes.mountsFailed.add(disk.guestPath);
    // Only the access to the file is left. It is revoked together with the access to all files that no disk needs.
    if (!mayBeThere && !mayHaveHappened(error)) store.change(changed.diskGone, disk.name);
    throw error;
  }
  store.change(changed.diskIn, disk.name, 'attached');
  await store.write();
}

/** The rules for the disks that a VM starts with also hold for the disks of a running VM. */
async function admitted(vm: VirtualMachineCore, wanted: WantedDisk): Promise<AdmittedDisk> {
  const { assignment } = vm.store.record;
  if (assignment === undefined) throw new MachineFailure('ChangeFailed', 'nothing was assigned');
  return await vm.bounded('query', 'CreateFileW', () => vm.ports.admitDisk(assignment, wanted));
}

export async function detach(
  vm: VirtualMachineCore,
  running: Situation<'Running'>,
  disk: VirtualMachineDisk,
  target: ChangeTarget,
): Promise<void> {
  const { store } = vm;
  const { name, state } = disk;
  const seen =
    target.guest === undefined ? 'notMounted' : await lookForMount(vm, askUnlessLeaving(running), diskPlace(disk));
  if (state === 'attaching' && seen === 'mounted' && isWanted(disk, store.record.assignment)) {
    store.change(changed.diskIn, name, 'attached');
    return await store.write();
  }
  if (state !== 'attached' && seen === 'unknown') {
    const message = `disk ${name}: it is not known whether it is mounted at ${disk.guestPath}; a restart of the VM helps`;
    throw new MachineFailure('DiskFailed', message);
  }
  // The guest may still be waiting for this disk in order to mount it.
  if (state === 'attaching' && disk.guestPath !== undefined) store.change(changed.slotRetired, disk);
  store.change(changed.diskIn, name, 'detaching');
  await store.write();
  // When nothing is mounted, the guest agent deletes the folder, and waits indefinitely for a disk that is gone.
  if (seen !== 'notMounted') await unmount(disk, target);
  try {
    await unplugDisk(disk, target);
  } catch (error) {
    const wasNotThere = state !== 'attached' && error instanceof HcsError && nothingThere.has(error.hresult);
    if (!wasNotThere) throw error;
    // The guest is only asked for disks that the host has attached, so it does not wait for a disk at this place.
    store.change(changed.slotFreed, disk);
  }
  store.change(changed.diskGone, name);
  await store.write();
}

/** Rejects when the guest still uses the disk; then the host does not detach it. */
async function unmount(disk: VirtualMachineDisk, target: ChangeTarget): Promise<void> {
  const { attachment, mount } = scsiDisk(disk);
  if (mount !== undefined) await unmountDisk(attachment, mount, target);
}

/** Call this after the disk is detached: a VM must not lose access to a file that it uses. */
export async function revokeAccess(vm: VirtualMachineCore, path: string): Promise<void> {
  await takeAccessBack(vm, path);
  vm.store.change(changed.accessRevoked, path);
  await vm.store.write();
}

/** Succeeds also when the file is gone. */
export async function takeAccessBack(vm: VirtualMachineCore, path: string): Promise<void> {
  const { backend, host } = vm.ports;
  try {
    await vm.bounded('query', 'HcsRevokeVmAccess', () => backend.revokeVmAccess(vm.systemID, path));
  } catch (error) {
    const { kind } = await host.stat(path);
    if (kind !== 'notFound') throw error;
  }
}

/**
 * The administrator's flag makes a read-only folder shared by all VMs. Its files get one access entry for the group of
 * all VMs, and this entry stays.
 */
async function grantAccess(vm: VirtualMachineCore, path: string, isShared: boolean): Promise<void> {
  const { backend, host } = vm.ports;
  if (isShared) await vm.bounded('query', 'GrantVmGroupAccess', () => host.grantVmGroupAccess(path, 'read'));
  else await vm.bounded('query', 'HcsGrantVmAccess', () => backend.grantVmAccess(vm.systemID, path));
}

function placed(record: MachineRecord, wanted: WantedDisk, isMounted: boolean): VirtualMachineDisk {
  const { applied, disks } = record;
  const used = [...(applied?.devices.scsi ?? []), ...disks, ...(record.retiredSlots ?? [])];
  const slot = firstFreeSlot(applied?.scsiControllers ?? 0, used);
  if (slot === undefined) {
    throw new MachineFailure('DiskFailed', `disk ${wanted.name}: no place is free on the VM's SCSI controllers`);
  }
  const { name, path, readOnly, mountPath } = wanted;
  const named = { name, path, readOnly, ...(mountPath !== undefined && { mountPath }), ...filesystemOf(wanted) };
  const taken = [
    ...disks.map(({ guestPath }) => guestPath),
    ...(record.assignment?.options.Disks ?? []).map(mountPathOf),
  ];
  const guestPath = mountPath ?? firstFreeMountPath(new Set(taken.filter((each) => each !== undefined)));
  return { ...named, ...slot, ...(isMounted && { guestPath }), state: 'attaching' };
}

function mountPathOf({ mountPath }: WantedDisk): string | undefined {
  return mountPath;
}

export function scsiDisk(disk: VirtualMachineDisk): ScsiDisk {
  const { controller, guestPath, lun, readOnly } = disk;
  return {
    attachment: { controller, lun, type: 'VirtualDisk', path: fileOf(disk), readOnly },
    mount: guestPath === undefined ? undefined : { guestPath, readOnly, ...filesystemOf(disk) },
  };
}
