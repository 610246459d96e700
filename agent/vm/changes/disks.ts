// Disks of a running VM: each is in the journal with its place before anything is done for it, and stays there until
// nothing is left of it. What an agent that died may have attached, or a guest has not answered for, is looked at in the
// guest first: it is kept when it is mounted, and else detached before it is attached at another place.
import { MachineFailure } from '../../failure.ts';
import { type ChangeTarget, mayHaveHappened } from '../../modification/document.ts';
import { attachDisk, type ScsiDisk, unmountDisk, unplugDisk } from '../../modification/scsi.ts';
import { firstFreeMountPath, firstFreeSlot } from '../../modification/scsi-slots.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { AdmittedDisk, WantedDisk } from '../../preparation/paths/admission.ts';
import type { MachineContext } from '../context.ts';
import type { MachineDisk, MachineRecord } from '../record.ts';
import { requireReserved } from '../reserving.ts';
import { lookForMount, requireFreeTarget } from './mount-target.ts';
import { fileOf, isWanted } from './options.ts';
import * as changed from './record.ts';

/** What HCS says when nothing is attached at the place: E_INVALIDARG, ERROR_NOT_FOUND. */
const nothingThere: ReadonlySet<number> = new Set([0x8007_0057, 0x8007_0490]);

export async function attach(machine: MachineContext, wanted: WantedDisk, target: ChangeTarget): Promise<void> {
  const { path: finalPath, isShared } = await admitted(machine, wanted);
  requireReserved(machine, wanted, finalPath);
  const place = placed(machine.record, wanted, target.guest !== undefined);
  const disk = finalPath === wanted.path ? place : { ...place, finalPath };
  machine.record = changed.diskBegun(machine.record, disk, isShared);
  let mayBeThere = false;
  try {
    await machine.write();
    await requireFreeTarget(machine, disk);
    await grantAccess(machine, fileOf(disk), isShared);
    await attachDisk(scsiDisk(disk), target, (error) => {
      mayBeThere = true;
      machine.ports.logger.warn({ disk: disk.name, error: String(error) }, 'a disk was left behind');
    });
  } catch (error) {
    if (disk.guestPath !== undefined) machine.mountsFailed.add(disk.guestPath);
    // Nothing is left but the access, which is taken back as that to any file that no disk needs.
    if (!mayBeThere && !mayHaveHappened(error)) machine.record = changed.diskGone(machine.record, disk.name);
    throw error;
  }
  machine.record = changed.diskIn(machine.record, disk.name, 'attached');
  await machine.write();
}

/** The rules hold for each disk of a running VM, as for those that it starts with. */
async function admitted(machine: MachineContext, wanted: WantedDisk): Promise<AdmittedDisk> {
  const { assignment } = machine.record;
  if (assignment === undefined) throw new MachineFailure('ChangeFailed', 'nothing was assigned');
  return await machine.bounded('query', 'CreateFileW', () => machine.ports.admitDisk(assignment, wanted));
}

export async function detach(machine: MachineContext, disk: MachineDisk, target: ChangeTarget): Promise<void> {
  const { name, state } = disk;
  const seen = target.guest === undefined ? 'notMounted' : await lookForMount(machine, disk);
  if (state === 'attaching' && seen === 'mounted' && isWanted(disk, machine.record.assignment)) {
    machine.record = changed.diskIn(machine.record, name, 'attached');
    return await machine.write();
  }
  if (state !== 'attached' && seen === 'unknown') {
    const message = `disk ${name}: it is not known whether it is mounted at ${disk.guestPath}; a restart of the VM helps`;
    throw new MachineFailure('DiskFailed', message);
  }
  // What the guest may still be waiting for, to mount it.
  if (state === 'attaching' && disk.guestPath !== undefined) machine.record = changed.slotRetired(machine.record, disk);
  machine.record = changed.diskIn(machine.record, name, 'detaching');
  await machine.write();
  // A guest that is to unmount where nothing is mounted deletes the folder, and waits without end for a disk that is gone.
  if (seen !== 'notMounted') await unmount(disk, target);
  try {
    await unplugDisk(disk, target);
  } catch (error) {
    const wasNotThere = state !== 'attached' && error instanceof HcsError && nothingThere.has(error.hresult);
    if (!wasNotThere) throw error;
    // The guest is asked only for what the host has: it waits for nothing at this place.
    machine.record = changed.slotFreed(machine.record, disk);
  }
  machine.record = changed.diskGone(machine.record, name);
  await machine.write();
}

/** A guest that still uses the disk refuses; then the host is not asked. */
async function unmount(disk: MachineDisk, target: ChangeTarget): Promise<void> {
  const { attachment, mount } = scsiDisk(disk);
  if (mount !== undefined) await unmountDisk(attachment, mount, target);
}

/** After the disk: a VM loses access to nothing that it has. */
export async function revokeAccess(machine: MachineContext, path: string): Promise<void> {
  await takeAccessBack(machine, path);
  machine.record = changed.accessRevoked(machine.record, path);
  await machine.write();
}

/** Succeeds when the file is gone. */
export async function takeAccessBack(machine: MachineContext, path: string): Promise<void> {
  const { backend, host } = machine.ports;
  try {
    await machine.bounded('query', 'HcsRevokeVmAccess', () => backend.revokeVmAccess(machine.systemID, path));
  } catch (error) {
    const { kind } = await host.stat(path);
    if (kind !== 'notFound') throw error;
  }
}

/** A folder that is for reading only is shared by the administrator's word: one entry for the group of all VMs, which stays. */
async function grantAccess(machine: MachineContext, path: string, isShared: boolean): Promise<void> {
  const { backend, host } = machine.ports;
  if (isShared) await machine.bounded('query', 'GrantVmGroupAccess', () => host.grantVmGroupAccess(path, 'read'));
  else await machine.bounded('query', 'HcsGrantVmAccess', () => backend.grantVmAccess(machine.systemID, path));
}

function placed(record: MachineRecord, wanted: WantedDisk, isMounted: boolean): MachineDisk {
  const { applied, disks } = record;
  const used = [...(applied?.devices.scsi ?? []), ...disks, ...(record.retiredSlots ?? [])];
  const slot = firstFreeSlot(applied?.scsiControllers ?? 0, used);
  if (slot === undefined) {
    throw new MachineFailure('DiskFailed', `disk ${wanted.name}: no place is free on the VM's SCSI controllers`);
  }
  const { name, path, readOnly, mountPath } = wanted;
  const named = { name, path, readOnly, ...(mountPath !== undefined && { mountPath }) };
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

export function scsiDisk(disk: MachineDisk): ScsiDisk {
  const { controller, guestPath, lun, readOnly } = disk;
  return {
    attachment: { controller, lun, type: 'VirtualDisk', path: fileOf(disk), readOnly },
    mount: guestPath === undefined ? undefined : { guestPath, readOnly },
  };
}
