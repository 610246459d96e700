// The document from which HNS creates the endpoint of a VM's adapter, and changes of its policies: pure functions of
// what is wished (docs/reference/hns.md).
//
//   const document = endpointDocument({ uid, name: 'eth0', network, ports: [], accessRules: [] });
//   await networks.createEndpoint(network, document);
import type { EndpointId, NetworkId } from '../node/network-service.ts';
import { type AccessRule, accessPolicies } from './access-rules.ts';
import { type EndpointPolicy, protocolNumbers } from './policy.ts';
import { uuidOfName } from './uuid.ts';

export interface EndpointWish {
  /** Of the VM's resource. */
  readonly uid: string;
  /** Of the adapter, unique in its VM. */
  readonly name: string;
  readonly network: NetworkId;
  /** As `address/length`; absent = HNS allocates one. */
  readonly addresses?: readonly string[] | undefined;
  /** Six octets in hexadecimal, with `-` or `:`; absent = HNS makes one up. */
  readonly macAddress?: string | undefined;
  readonly routes?: readonly EndpointRoute[] | undefined;
  readonly dns?: EndpointDns | undefined;
  /** Ports of the guest that the host forwards to. */
  readonly ports?: readonly ForwardedPort[] | undefined;
  /** Absent = as much as the host can send. */
  readonly egressBytesPerSecond?: number | undefined;
  readonly accessRules?: readonly AccessRule[] | undefined;
}

export interface EndpointRoute {
  readonly destination: string;
  readonly nextHop: string;
  readonly metric?: number | undefined;
}

export interface EndpointDns {
  readonly servers?: readonly string[] | undefined;
  readonly search?: readonly string[] | undefined;
  readonly domain?: string | undefined;
}

export interface ForwardedPort {
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
  readonly hostPort: number;
}

export interface EndpointDocument {
  readonly id: EndpointId;
  readonly name: string;
  readonly text: string;
}

const schemaVersion = { Major: 2, Minor: 0 } as const;

export function endpointDocument(wish: EndpointWish): EndpointDocument {
  const { dns, macAddress, network, routes = [] } = wish;
  const { id, name } = identityOf(wish);
  const document = {
    SchemaVersion: schemaVersion,
    HostComputeNetwork: network,
    ID: id,
    Name: name,
    ...(macAddress !== undefined && { MacAddress: macAddress.replaceAll(':', '-').toUpperCase() }),
    ...configurationsOf(wish),
    ...(routes.length > 0 && { Routes: routes.map(routeOf) }),
    ...(dns !== undefined && { Dns: dnsOf(dns) }),
    Policies: endpointPolicies(wish),
  };
  return { id, name, text: JSON.stringify(document) };
}

/** An adapter of a VM has the same endpoint for as long as the VM is assigned to a host. */
export function identityOf({ uid, name }: Pick<EndpointWish, 'uid' | 'name'>) {
  return { id: uuidOfName(uid, name) as EndpointId, name: `luvm-${uid}-${name}` };
}

const ownName = /^luvm-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(.+)$/;

/**
 * The VM and adapter that an endpoint was made for: its name says so, and its id proves it, since a name alone could be
 * anybody's. Undefined for an endpoint of others.
 */
export function ownerOf({ id, name }: { readonly id: string; readonly name: string }) {
  const [, uid, adapter] = ownName.exec(name) ?? [];
  if (uid === undefined || adapter === undefined) return undefined;
  return uuidOfName(uid, adapter) === id.toLowerCase() ? { uid, name: adapter } : undefined;
}

export function endpointPolicies(
  wish: Pick<EndpointWish, 'ports' | 'accessRules' | 'egressBytesPerSecond'>,
): readonly EndpointPolicy[] {
  const { accessRules = [], egressBytesPerSecond, ports = [] } = wish;
  return [
    ...ports.map(portMapping),
    ...accessPolicies(accessRules),
    ...(egressBytesPerSecond === undefined ? [] : [rateLimit(egressBytesPerSecond)]),
  ];
}

/** The change that gives an endpoint these policies, or takes them from it. */
export function policyChange(request: 'Add' | 'Remove' | 'Update', policies: readonly EndpointPolicy[]): string {
  return JSON.stringify({ ResourceType: 'Policy', RequestType: request, Settings: { Policies: policies } });
}

function configurationsOf({ addresses = [] }: EndpointWish) {
  if (addresses.length === 0) return {};
  const IpConfigurations = addresses.map((each) => {
    const [IpAddress = '', length = ''] = each.split('/');
    return { IpAddress, PrefixLength: Number(length) };
  });
  return { IpConfigurations };
}

function routeOf({ destination, metric, nextHop }: EndpointRoute) {
  return { NextHop: nextHop, DestinationPrefix: destination, ...(metric !== undefined && { Metric: metric }) };
}

function dnsOf({ domain, search = [], servers = [] }: EndpointDns) {
  return {
    ...(domain !== undefined && { Domain: domain }),
    ...(search.length > 0 && { Search: search }),
    ...(servers.length > 0 && { ServerList: servers }),
  };
}

function portMapping({ hostPort, port, protocol }: ForwardedPort): EndpointPolicy {
  const Settings = { Protocol: protocolNumbers[protocol], InternalPort: port, ExternalPort: hostPort };
  return { Type: 'PortMapping', Settings };
}

function rateLimit(bytesPerSecond: number): EndpointPolicy {
  return { Type: 'QOS', Settings: { MaximumOutgoingBandwidthInBytes: bytesPerSecond } };
}
