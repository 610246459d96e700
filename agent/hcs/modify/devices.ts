// Changes of a running VM's other devices (hcs-runtime B.6): the host's half of each.
import { Build } from '../../document/constants.ts';
import type { HostModification } from './document.ts';

const devices = 'VirtualMachine/Devices';

/** One image on a device of its own. */
export function vpmemAdd(device: number, hostPath: string): HostModification {
  const settings = { HostPath: hostPath, ReadOnly: true, ImageFormat: 'Vhd1' };
  return { resourcePath: vpmemPath(device), requestType: 'Add', settings };
}

export function vpmemRemove(device: number): HostModification {
  return { resourcePath: vpmemPath(device), requestType: 'Remove' };
}

function vpmemPath(device: number): string {
  return `${devices}/VirtualPMem/Devices/${device}`;
}

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
  return { resourcePath: `${devices}/VirtualPci/${vmbusGuid}`, requestType: 'Add', settings };
}

export function vpciRemove(vmbusGuid: string): HostModification {
  return { resourcePath: `${devices}/VirtualPci/${vmbusGuid}`, requestType: 'Remove' };
}

export interface HvSocketService {
  readonly bindSecurityDescriptor?: string;
  readonly connectSecurityDescriptor?: string;
  readonly allowWildcardBinds?: boolean;
  readonly disabled?: boolean;
}

/** Makes the entry if there is none. */
export function hvSocketServiceUpdate(serviceId: string, service: HvSocketService): HostModification {
  const settings = {
    BindSecurityDescriptor: service.bindSecurityDescriptor,
    ConnectSecurityDescriptor: service.connectSecurityDescriptor,
    AllowWildcardBinds: service.allowWildcardBinds || undefined,
    Disabled: service.disabled || undefined,
  };
  return { resourcePath: servicePath(serviceId), requestType: 'Update', settings };
}

export function hvSocketServiceRemove(serviceId: string): HostModification {
  return { resourcePath: servicePath(serviceId), requestType: 'Remove' };
}

function servicePath(serviceId: string): string {
  return `${devices}/HvSocket/HvSocketConfig/ServiceTable/${serviceId}`;
}
