// Network adapters of a running VM (hcs-runtime B.6, E.6). HCS connects an endpoint; the guest sets up the interface in
// a network namespace, if it has namespaces.
import type { GuestModification } from '../guest/bridge/guest-modification.ts';
import type { NetworkEndpoint } from '../network/endpoint.ts';
import type { Change, HostModification } from './document.ts';
import { lowerCase } from './lower-case.ts';

type Request = 'Add' | 'Remove' | 'Update';
type GuestAdapter = Extract<GuestModification, { resourceType: 'Network' }>['settings'];

/** `VirtualMachine/Devices/NetworkAdapters/<id>`; members that are absent or empty are left out. */
export interface AdapterSettings {
  readonly endpointId?: string | undefined;
  readonly macAddress?: string | undefined;
  readonly iov?: IovSettings | undefined;
}

export interface IovSettings {
  readonly offloadWeight?: number | undefined;
  readonly queuePairsRequested?: number | undefined;
  readonly interruptModeration?: string | number | undefined;
}

/** Undefined settings are sent as null. */
export function adapterChange(
  requestType: Request,
  nicId: string,
  settings: AdapterSettings | undefined,
): HostModification {
  const resourcePath = `VirtualMachine/Devices/NetworkAdapters/${nicId}`;
  return { resourcePath, requestType, settings: settings === undefined ? null : settingsDocument(settings) };
}

function settingsDocument({ endpointId, iov, macAddress }: AdapterSettings): object {
  // For these three, 0 or empty differs from absent.
  const IovSettings = iov && {
    OffloadWeight: iov.offloadWeight,
    QueuePairsRequested: iov.queuePairsRequested,
    InterruptModeration: iov.interruptModeration,
  };
  return { EndpointId: endpointId || undefined, MacAddress: macAddress || undefined, IovSettings };
}

/** Like the original's newer VM manager: without settings none are sent. */
export function managedAdapterChange(
  requestType: Request,
  nicId: string,
  settings: AdapterSettings | undefined,
): HostModification {
  if (settings === undefined) throw new Error('network adapter settings cannot be nil');
  return adapterChange(requestType, nicId, settings);
}

export interface AdapterGuest {
  readonly hasNamespaces: boolean;
  readonly policyBasedRouting: boolean;
}

export function addAdapter(nicId: string, endpoint: NetworkEndpoint, guest: AdapterGuest): Change {
  const host = adapterChange('Add', nicId, settingsOf(endpoint));
  if (!guest.hasNamespaces) return { host };
  const settings = guestAdapter(nicId, endpoint, guest.policyBasedRouting);
  return { host, guest: { resourceType: 'Network', requestType: 'Add', settings } };
}

export function removeAdapter(nicId: string, endpoint: NetworkEndpoint, guest: AdapterGuest): Change {
  const host = adapterChange('Remove', nicId, settingsOf(endpoint));
  if (!guest.hasNamespaces) return { host };
  const settings = { NamespaceID: endpoint.namespaceId, ID: nicId };
  return { host, guest: { resourceType: 'Network', requestType: 'Remove', settings } };
}

function settingsOf({ id, macAddress }: NetworkEndpoint): AdapterSettings {
  return { endpointId: id, macAddress };
}

/** The suffix is the guest's search list: the domain, if any, comes first. */
function guestAdapter(nicId: string, endpoint: NetworkEndpoint, policyBasedRouting: boolean): GuestAdapter {
  const { addresses, dns, encapOverhead, macAddress, namespaceId, routes } = endpoint;
  return {
    NamespaceID: namespaceId,
    ID: nicId,
    MacAddress: macAddress,
    DNSSuffix: lowerCase([...(dns.domain === '' ? [] : [dns.domain]), ...dns.search].join(',')),
    DNSServerList: lowerCase(dns.servers.join(',')),
    EncapOverhead: encapOverhead,
    IPConfigs: addresses.map(({ address, prefixLength }) => ({ IPAddress: address, PrefixLength: prefixLength })),
    Routes: routes.map((route) => ({
      NextHop: route.nextHop,
      DestinationPrefix: route.destination,
      Metric: route.metric,
    })),
    PolicyBasedRouting: policyBasedRouting,
  };
}

/** For a virtual function that was added over vPCI: HCS is not involved. Throws for a guest without namespaces. */
export function guestAdapterChange(
  requestType: 'Add' | 'Remove',
  adapter: GuestAdapter,
  { hasNamespaces }: Pick<AdapterGuest, 'hasNamespaces'>,
): Change {
  if (!hasNamespaces) {
    const doing = requestType === 'Add' ? 'add' : 'remove';
    const named = adapterText(adapter);
    throw new Error(`guest does not support network namespaces and cannot ${doing} VF NIC ${named}`);
  }
  return { guest: { resourceType: 'Network', requestType, settings: adapter } };
}

/** Printed as the original prints the structure. */
function adapterText(adapter: GuestAdapter): string {
  const addresses = (adapter.IPConfigs ?? []).map(
    ({ IPAddress = '', PrefixLength = 0 }) => `{IPAddress:${IPAddress} PrefixLength:${PrefixLength}}`,
  );
  const routes = (adapter.Routes ?? []).map(
    ({ DestinationPrefix = '', Metric = 0, NextHop = '' }) =>
      `{NextHop:${NextHop} DestinationPrefix:${DestinationPrefix} Metric:${Metric}}`,
  );
  const members = [
    `NamespaceID:${adapter.NamespaceID ?? ''}`,
    `ID:${adapter.ID ?? ''}`,
    `MacAddress:${adapter.MacAddress ?? ''}`,
    `DNSSuffix:${adapter.DNSSuffix ?? ''}`,
    `DNSServerList:${adapter.DNSServerList ?? ''}`,
    `EncapOverhead:${adapter.EncapOverhead ?? 0}`,
    `VPCIAssigned:${adapter.VPCIAssigned ?? false}`,
    `IPConfigs:[${addresses.join(' ')}]`,
    `Routes:[${routes.join(' ')}]`,
    `PolicyBasedRouting:${adapter.PolicyBasedRouting ?? false}`,
    `EnableLowMetric:${adapter.EnableLowMetric ?? false}`,
  ];
  return `&{${members.join(' ')}}`;
}
