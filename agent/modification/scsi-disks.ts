// Disks of a running VM that have several users (hcs-runtime B.6). An attachment with the same path, type, access and
// extension is shared and counted, and so is a mount of it with the same settings. When the last user leaves, the mount
// is removed, then the disk. Changes of one VM run one at a time, so that nothing here waits for another change.

import { type ChangeTarget, mayHaveHappened, modifyDocument } from './document.ts';
import {
  mountDisk,
  type ScsiAttachment,
  type ScsiMount,
  type ScsiSlot,
  scsiAttach,
  unmountDisk,
  unplugDisk,
} from './scsi.ts';
import { firstFreeSlot } from './scsi-slots.ts';

export interface DiskSource {
  readonly type: ScsiAttachment['type'];
  readonly path: string;
  readonly readOnly: boolean;
  readonly extensibleType?: string;
}

const extensiblePrefix = 'evd://';

/** Parses `evd://<type>/<path>`. Throws for a path without a type. */
export function extensibleDisk(path: string, readOnly: boolean): DiskSource {
  const name = path.startsWith(extensiblePrefix) ? path.slice(extensiblePrefix.length) : path;
  const separator = name.indexOf('/');
  if (separator <= 0) throw new Error(`invalid extensible vhd path: ${path}`);
  const extensibleType = name.slice(0, separator);
  return { type: 'ExtensibleVirtualDisk', path: name.slice(separator + 1), readOnly, extensibleType };
}

/** How to mount a disk; without a path, one is generated. */
export type WantedMount = Omit<ScsiMount, 'guestPath'> & { readonly guestPath?: string };

interface Attached {
  readonly attachment: ScsiAttachment;
  users: number;
}

interface Mounted {
  readonly attached: Attached;
  readonly mount: ScsiMount;
  users: number;
}

/** One user's claim on a disk, to be released. */
export interface DiskUse {
  readonly slot: ScsiSlot;
  readonly guestPath: string | undefined;
}

export class ScsiDisks {
  readonly #controllers: number;
  readonly #reserved: readonly ScsiSlot[];
  readonly #undoFailed: (error: unknown) => void;
  readonly #attached = new Set<Attached>();
  /** The index of a mount is part of its generated path. */
  readonly #mounted: (Mounted | undefined)[] = [];
  readonly #uses = new Map<DiskUse, { readonly attached: Attached; readonly mounted: Mounted | undefined }>();

  /** `reserved`: slots of the disks that the VM was created with. */
  constructor(controllers: number, reserved: readonly ScsiSlot[], undoFailed: (error: unknown) => void) {
    this.#controllers = controllers;
    this.#reserved = reserved;
    this.#undoFailed = undoFailed;
  }

  async add(source: DiskSource, mount: WantedMount | undefined, target: ChangeTarget): Promise<DiskUse> {
    const attached = await this.#attach(source, target);
    const { controller, lun } = attached.attachment;
    try {
      const mounted = mount === undefined ? undefined : await this.#mount(attached, mount, target);
      const use = { slot: { controller, lun }, guestPath: mounted?.mount.guestPath };
      this.#uses.set(use, { attached, mounted });
      return use;
    } catch (error) {
      // The guest may still be mounting the disk, so HCS does not detach it.
      if (!mayHaveHappened(error)) await this.#detach(attached, target).catch(this.#undoFailed);
      throw error;
    }
  }

  /** Can be called again after a refusal. */
  async release(use: DiskUse, target: ChangeTarget): Promise<void> {
    const held = this.#uses.get(use);
    if (held === undefined) throw new Error('not attached');
    if (held.mounted !== undefined) await this.#unmount(held.mounted, target);
    this.#uses.set(use, { attached: held.attached, mounted: undefined });
    await this.#detach(held.attached, target);
    this.#uses.delete(use);
  }

  async #attach(source: DiskSource, target: ChangeTarget): Promise<Attached> {
    const known = [...this.#attached].find(({ attachment }) => isSame(attachment, source));
    if (known !== undefined) {
      known.users += 1;
      return known;
    }
    const taken = [...this.#attached].map(({ attachment }) => attachment);
    const slot = firstFreeSlot(this.#controllers, [...this.#reserved, ...taken]);
    if (slot === undefined) throw new Error('no available location');
    const attached: Attached = { attachment: { ...slot, ...source }, users: 1 };
    this.#attached.add(attached);
    try {
      await target.host(modifyDocument(scsiAttach(attached.attachment)));
    } catch (error) {
      // A disk that is still being attached keeps its slot.
      if (!mayHaveHappened(error)) this.#attached.delete(attached);
      throw error;
    }
    return attached;
  }

  async #detach(attached: Attached, target: ChangeTarget): Promise<void> {
    if (attached.users === 1) {
      await unplugDisk(attached.attachment, target);
      this.#attached.delete(attached);
    }
    attached.users -= 1;
  }

  async #mount(attached: Attached, wanted: WantedMount, target: ChangeTarget): Promise<Mounted> {
    const known = this.#mounted.find((each) => each?.attached === attached && isSameMount(each.mount, wanted));
    if (known !== undefined) {
      known.users += 1;
      return known;
    }
    const firstGap = this.#mounted.indexOf(undefined);
    const index = firstGap === -1 ? this.#mounted.length : firstGap;
    const mount = { ...wanted, guestPath: wanted.guestPath ?? `/run/mounts/scsi/m${index}` };
    if (this.#mounted.some((each) => each?.mount.guestPath === mount.guestPath)) {
      throw new Error(`something else is mounted at ${mount.guestPath}`);
    }
    await mountDisk(attached.attachment, mount, target);
    const mounted: Mounted = { attached, mount, users: 1 };
    this.#mounted[index] = mounted;
    return mounted;
  }

  async #unmount(mounted: Mounted, target: ChangeTarget): Promise<void> {
    if (mounted.users === 1) {
      // When mounting, the original states only what kind of disk it is.
      const { encrypted: _encrypted, filesystem: _filesystem, ...mount } = mounted.mount;
      await unmountDisk(mounted.attached.attachment, mount, target);
      this.#mounted[this.#mounted.indexOf(mounted)] = undefined;
    }
    mounted.users -= 1;
  }
}

function isSame(attachment: ScsiAttachment, source: DiskSource): boolean {
  return (
    attachment.path === source.path &&
    attachment.type === source.type &&
    attachment.readOnly === source.readOnly &&
    attachment.extensibleType === source.extensibleType
  );
}

function isSameMount(mount: ScsiMount, wanted: WantedMount): boolean {
  if (wanted.guestPath !== undefined && wanted.guestPath !== mount.guestPath) return false;
  return mountKey(mount) === mountKey(wanted);
}

/** The order of options does not matter here. */
function mountKey(mount: Omit<ScsiMount, 'guestPath'>): string {
  const { blockDevice, encrypted, ensureFilesystem, filesystem, options, partition, readOnly } = mount;
  const flags = [readOnly, encrypted, ensureFilesystem, blockDevice].map((flag) => flag ?? false);
  return JSON.stringify([flags, partition ?? 0, filesystem ?? '', [...(options ?? [])].sort()]);
}
