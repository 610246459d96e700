// SCSI disks of a running VM (hcs-runtime B.6): the documents, and the sequences for attaching and detaching. HCS acts
// first when a disk is attached and last when it is detached.
import { scsiControllerGuids } from '../document/constants.ts';
import {
  askGuest,
  type ChangeTarget,
  type HostModification,
  mayHaveHappened,
  modifyDocument,
  saying,
} from './document.ts';

export interface ScsiSlot {
  readonly controller: number;
  readonly lun: number;
}

export interface ScsiAttachment extends ScsiSlot {
  readonly type: 'VirtualDisk' | 'PassThru' | 'ExtensibleVirtualDisk';
  readonly path: string;
  readonly readOnly: boolean;
  /** The type of an `ExtensibleVirtualDisk`. */
  readonly extensibleType?: string;
}

export interface ScsiMount {
  readonly guestPath: string;
  readonly readOnly: boolean;
  readonly partition?: number;
  readonly encrypted?: boolean;
  readonly options?: readonly string[];
  readonly blockDevice?: boolean;
  readonly ensureFilesystem?: boolean;
  readonly filesystem?: string;
}

export interface ScsiDisk {
  readonly attachment: ScsiAttachment;
  /** Absent: the guest is not asked to mount the disk. */
  readonly mount: ScsiMount | undefined;
}

/**
 * Rejects with the first failure, after undoing the earlier steps. `undoFailed` receives the error of a step that
 * cannot be undone.
 */
export async function attachDisk(
  { attachment, mount }: ScsiDisk,
  target: ChangeTarget,
  undoFailed: (error: unknown) => void,
): Promise<void> {
  await target.host(modifyDocument(scsiAttach(attachment)));
  if (mount === undefined) return;
  try {
    await mountDisk(attachment, mount, target);
  } catch (error) {
    // The guest may still be mounting the disk, so HCS does not remove it.
    if (!mayHaveHappened(error)) await unplugDisk(attachment, target).catch(undoFailed);
    throw error;
  }
}

/** Mounts the disk in the guest. */
export async function mountDisk(slot: ScsiSlot, mount: ScsiMount, target: ChangeTarget): Promise<void> {
  const what = `mount scsi controller ${slot.controller} lun ${slot.lun} at ${mount.guestPath}`;
  await saying(what, () => askGuest(mountRequest('Add', slot, mount), target));
}

export async function unmountDisk(slot: ScsiSlot, mount: ScsiMount, target: ChangeTarget): Promise<void> {
  await askGuest(mountRequest('Remove', slot, mount), target);
}

/** The guest releases the device before HCS removes it. */
export async function unplugDisk(slot: ScsiSlot, target: ChangeTarget): Promise<void> {
  const { controller: Controller, lun: Lun } = slot;
  await askGuest({ resourceType: 'SCSIDevice', requestType: 'Remove', settings: { Controller, Lun } }, target);
  await target.host(modifyDocument(scsiDetach(slot)));
}

export function scsiAttach(attachment: ScsiAttachment): HostModification {
  const settings = {
    Type: attachment.type,
    Path: attachment.path || undefined,
    ReadOnly: attachment.readOnly || undefined,
    ExtensibleVirtualDiskType: attachment.extensibleType || undefined,
  };
  return { resourcePath: pathOf(attachment), requestType: 'Add', settings };
}

export function scsiDetach(slot: ScsiSlot): HostModification {
  return { resourcePath: pathOf(slot), requestType: 'Remove' };
}

function pathOf({ controller, lun }: ScsiSlot): string {
  const guid = scsiControllerGuids[controller];
  if (guid === undefined) throw new RangeError(`there is no SCSI controller ${controller}`);
  return `VirtualMachine/Devices/Scsi/${guid}/Attachments/${lun}`;
}

/** The guest needs the encryption flag on removal, too, to dismantle an encrypted disk. */
function mountRequest(requestType: 'Add' | 'Remove', { controller, lun }: ScsiSlot, mount: ScsiMount) {
  const place = {
    MountPath: mount.guestPath,
    Lun: lun,
    Controller: controller,
    Partition: mount.partition ?? 0,
    ReadOnly: mount.readOnly,
    BlockDev: mount.blockDevice ?? false,
  };
  const kind = { Encrypted: mount.encrypted ?? false, Filesystem: mount.filesystem ?? '' };
  const how = { Options: [...(mount.options ?? [])].sort(), EnsureFilesystem: mount.ensureFilesystem ?? false };
  const settings = requestType === 'Add' ? { ...place, ...kind, ...how } : { ...place, ...kind };
  return { resourceType: 'MappedVirtualDisk', requestType, settings } as const;
}
