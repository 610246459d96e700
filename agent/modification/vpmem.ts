// Images on virtual PMem devices of a running VM (hcs-runtime B.6): one image for each device, or several packed on
// one. An image that is already present is counted and not added again; it is removed with its last user. Changes of
// one VM run one at a time, so that nothing here waits for another change.
import type { GuestModification } from '../guest/bridge/guest-modification.ts';
import {
  applyChange,
  type Change,
  type ChangeTarget,
  type HostModification,
  mayHaveHappened,
  saying,
} from './document.ts';
import { type Region, RegionPool } from './region-pool.ts';

const pageBytes = 4096;

export interface ImageFile {
  readonly path: string;
  readonly sizeInBytes: number;
}

export interface PMemLimits {
  readonly maximumCount: number;
  readonly maximumSizeBytes: number;
  /** Devices of the images that the VM was created with. */
  readonly reserved?: readonly number[];
}

/** One image that has a device of its own. */
export function vpmemAdd(device: number, hostPath: string): HostModification {
  const settings = { HostPath: hostPath || undefined, ReadOnly: true, ImageFormat: 'Vhd1' };
  return { resourcePath: devicePath(device), requestType: 'Add', settings };
}

export function vpmemRemove(device: number): HostModification {
  return { resourcePath: devicePath(device), requestType: 'Remove' };
}

function devicePath(device: number): string {
  return `VirtualMachine/Devices/VirtualPMem/Devices/${device}`;
}

function mappingPath(device: number, offset: number): string {
  return `${devicePath(device)}/Mappings/${offset}`;
}

/** The place of an image, and its number of users. */
interface Placed<Place> {
  readonly place: Place;
  readonly guestPath: string;
  users: number;
}

interface Texts {
  readonly cannotAdd: string;
  cannotRemove(path: string): string;
}

abstract class PMemImages<Place> {
  readonly #images = new Map<string, Placed<Place>>();
  readonly #undoFailed: (error: unknown) => void;

  constructor(undoFailed: (error: unknown) => void) {
    this.#undoFailed = undoFailed;
  }

  /** Returns the image's path in the guest. Rejects when there is no room, or with the refusal of HCS or the guest. */
  async add(image: ImageFile, target: ChangeTarget): Promise<string> {
    const known = this.#images.get(image.path);
    if (known !== undefined) {
      known.users += 1;
      return known.guestPath;
    }
    const place = this.take(image);
    const { cannotAdd } = this.texts;
    try {
      await saying(cannotAdd, () => applyChange(this.addition(place, image), target, this.#undoFailed));
    } catch (error) {
      // An image that is still being added keeps its place.
      if (!mayHaveHappened(error)) this.give(place);
      throw error;
    }
    const guestPath = this.guestPath(place);
    this.#images.set(image.path, { place, guestPath, users: 1 });
    return guestPath;
  }

  async remove(path: string, target: ChangeTarget): Promise<void> {
    const image = this.#images.get(path);
    if (image === undefined) throw new Error('not attached');
    if (image.users > 1) {
      image.users -= 1;
      return;
    }
    const what = this.texts.cannotRemove(path);
    await saying(what, () => applyChange(this.removal(image.place), target, this.#undoFailed));
    this.#images.delete(path);
    this.give(image.place);
  }

  protected abstract readonly texts: Texts;
  /** Throws when there is no room. */
  protected abstract take(image: ImageFile): Place;
  protected abstract give(place: Place): void;
  protected abstract addition(place: Place, image: ImageFile): Change;
  protected abstract removal(place: Place): Change;
  protected abstract guestPath(place: Place): string;
}

/** One image for each device, with multi-mapping off. */
export class SingleImages extends PMemImages<number> {
  readonly #limits: PMemLimits;
  readonly #taken: Set<number>;
  protected readonly texts: Texts;

  constructor(limits: PMemLimits, systemID: string, undoFailed: (error: unknown) => void) {
    super(undoFailed);
    this.#limits = limits;
    this.#taken = new Set(limits.reserved);
    this.texts = {
      cannotAdd: 'uvm::addVPMemDefault: failed to modify utility VM configuration',
      cannotRemove: (path) => `failed to remove VPMEM ${path} from utility VM ${systemID}`,
    };
  }

  protected take({ sizeInBytes }: ImageFile): number {
    if (sizeInBytes > this.#limits.maximumSizeBytes) throw new Error('layer size is to large for VPMEM max size');
    for (let device = 0; device < this.#limits.maximumCount; device += 1) {
      if (this.#taken.has(device)) continue;
      this.#taken.add(device);
      return device;
    }
    throw new Error('no available location');
  }

  protected give(device: number): void {
    this.#taken.delete(device);
  }

  protected addition(device: number, { path }: ImageFile): Change {
    return { host: vpmemAdd(device, path), guest: this.#inGuest('Add', device) };
  }

  protected removal(device: number): Change {
    return { host: vpmemRemove(device), guest: this.#inGuest('Remove', device) };
  }

  protected guestPath(device: number): string {
    return `/run/layers/p${device}`;
  }

  #inGuest(requestType: 'Add' | 'Remove', device: number): GuestModification {
    const settings = { DeviceNumber: device, MountPath: this.guestPath(device) };
    return { resourceType: 'VPMemDevice', requestType, settings };
  }
}

interface Mapping {
  readonly device: number;
  readonly region: Region;
  /** Size of the file, in whole pages. */
  readonly sizeInBytes: number;
}

/** Several images on one device, with multi-mapping on. */
export class PackedImages extends PMemImages<Mapping> {
  readonly #maximumCount: number;
  readonly #reserved: ReadonlySet<number>;
  readonly #pools: RegionPool[] = [];
  protected readonly texts: Texts;

  constructor({ maximumCount, reserved }: PMemLimits, systemID: string, undoFailed: (error: unknown) => void) {
    super(undoFailed);
    this.#maximumCount = maximumCount;
    this.#reserved = new Set(reserved);
    this.texts = {
      cannotAdd: 'uvm::addVPMemMappedDevice: failed to modify utility VM configuration',
      cannotRemove: (path) => `failed to remove packed VPMem ${path} from UVM ${systemID}`,
    };
  }

  /** Allocates on the first device that has room. */
  protected take(image: ImageFile): Mapping {
    const sizeInBytes = Math.ceil(image.sizeInBytes / pageBytes) * pageBytes;
    for (let device = 0; device < this.#maximumCount; device += 1) {
      if (this.#reserved.has(device)) continue;
      const pool = this.#pools[device] ?? new RegionPool();
      this.#pools[device] = pool;
      const region = pool.allocate(sizeInBytes);
      if (region !== undefined) return { device, region, sizeInBytes };
    }
    throw new Error('no available location');
  }

  protected give({ device, region }: Mapping): void {
    this.#pools[device]?.release(region);
  }

  protected addition(mapping: Mapping, { path }: ImageFile): Change {
    const resourcePath = mappingPath(mapping.device, mapping.region.offset);
    const settings = { HostPath: path, ImageFormat: 'Vhd1' };
    return { host: { resourcePath, requestType: 'Add', settings }, guest: this.#inGuest('Add', mapping) };
  }

  protected removal(mapping: Mapping): Change {
    const resourcePath = mappingPath(mapping.device, mapping.region.offset);
    return { host: { resourcePath, requestType: 'Remove' }, guest: this.#inGuest('Remove', mapping) };
  }

  protected guestPath({ device, region, sizeInBytes }: Mapping): string {
    return `/run/layers/p${device}-${region.offset}-${sizeInBytes}`;
  }

  #inGuest(requestType: 'Add' | 'Remove', mapping: Mapping): GuestModification {
    const MappingInfo = { DeviceOffsetInBytes: mapping.region.offset, DeviceSizeInBytes: mapping.sizeInBytes };
    const settings = { DeviceNumber: mapping.device, MountPath: this.guestPath(mapping), MappingInfo };
    return { resourceType: 'VPMemDevice', requestType, settings };
  }
}
