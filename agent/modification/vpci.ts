// Physical PCI devices assigned to a running VM (hcs-runtime B.6). A device that the VM already has is counted and not
// added again. It is removed with its last user; the guest is not asked to release it.
import { Build } from '../document/constants.ts';
import { applyChange, type ChangeTarget, type HostModification } from './document.ts';

export interface PciFunction {
  readonly deviceInstanceID: string;
  readonly virtualFunctionIndex: number;
}

export function vpciAdd(
  vmbusGuid: string,
  { deviceInstanceID, virtualFunctionIndex }: PciFunction,
  build: number,
): HostModification {
  const settings = {
    Functions: [{ DeviceInstancePath: deviceInstanceID, VirtualFunction: virtualFunctionIndex || undefined }],
    PropagateNumaAffinity: build >= Build.VirtualNuma || undefined,
  };
  return { resourcePath: vpciPath(vmbusGuid), requestType: 'Add', settings };
}

export function vpciRemove(vmbusGuid: string): HostModification {
  return { resourcePath: vpciPath(vmbusGuid), requestType: 'Remove' };
}

function vpciPath(vmbusGuid: string): string {
  return `VirtualMachine/Devices/VirtualPci/${vmbusGuid}`;
}

interface AssignedDevice {
  readonly vmbusGuid: string;
  users: number;
}

/** The devices of one VM. */
export class PciDevices {
  readonly #systemID: string;
  readonly #build: number;
  readonly #undoFailed: (error: unknown) => void;
  readonly #devices = new Map<string, AssignedDevice>();

  constructor(systemID: string, build: number, undoFailed: (error: unknown) => void) {
    this.#systemID = systemID;
    this.#build = build;
    this.#undoFailed = undoFailed;
  }

  /** Returns the device's vmbus GUID: `freshGuid`, unless the VM already had the device. */
  async add(device: PciFunction, freshGuid: string, target: ChangeTarget): Promise<string> {
    const known = this.#devices.get(keyOf(device));
    if (known !== undefined) {
      known.users += 1;
      return known.vmbusGuid;
    }
    const guest = { resourceType: 'VPCIDevice', requestType: 'Add', settings: { VMBusGUID: freshGuid } } as const;
    await applyChange({ host: vpciAdd(freshGuid, device, this.#build), guest }, target, this.#undoFailed);
    this.#devices.set(keyOf(device), { vmbusGuid: freshGuid, users: 1 });
    return freshGuid;
  }

  async remove(device: PciFunction, target: ChangeTarget): Promise<void> {
    const known = this.#devices.get(keyOf(device));
    const { deviceInstanceID, virtualFunctionIndex } = device;
    if (known === undefined) {
      const named = `ID ${deviceInstanceID} and index ${virtualFunctionIndex}`;
      throw new Error(`no device with ${named} is present on the uvm ${this.#systemID}`);
    }
    if (known.users === 1) {
      await applyChange({ host: vpciRemove(known.vmbusGuid) }, target, this.#undoFailed);
      this.#devices.delete(keyOf(device));
    }
    known.users -= 1;
  }
}

function keyOf({ deviceInstanceID, virtualFunctionIndex }: PciFunction): string {
  return `${virtualFunctionIndex} ${deviceInstanceID}`;
}
