// Changes of the Hyper-V socket service table of a running VM (hcs-runtime B.6).
import type { HostModification } from './document.ts';

export interface HvSocketService {
  readonly bindSecurityDescriptor?: string;
  readonly connectSecurityDescriptor?: string;
  readonly allowWildcardBinds?: boolean;
  readonly disabled?: boolean;
}

/** Creates the entry if there is none. Undefined is sent as null. */
export function hvSocketServiceUpdate(serviceId: string, service: HvSocketService | undefined): HostModification {
  const settings = service && {
    BindSecurityDescriptor: service.bindSecurityDescriptor || undefined,
    ConnectSecurityDescriptor: service.connectSecurityDescriptor || undefined,
    AllowWildcardBinds: service.allowWildcardBinds || undefined,
    Disabled: service.disabled || undefined,
  };
  return { resourcePath: servicePath(serviceId), requestType: 'Update', settings: settings ?? null };
}

export function hvSocketServiceRemove(serviceId: string): HostModification {
  return { resourcePath: servicePath(serviceId), requestType: 'Remove' };
}

function servicePath(serviceId: string): string {
  return `VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/${serviceId}`;
}
