// The Host Networking Service of a simulated node (docs/reference/hns.md): its networks, and the endpoints that clients
// make on them. Everything belongs to the node, not to a client. What HNS remembers over its own restart and over a
// reboot of the node differs, and differs by network:
//
//                   persistent network                  other network
//   HNS restarts    stays, its endpoints are gone       is gone with its endpoints
//   node reboots    stays, its endpoints are dead:      is gone with its endpoints
//                   they keep their addresses
import { HnsError, hnsResult } from '../../../agent/node/hns-error.ts';
import type { EndpointId, HnsVersion, NetworkId, NetworkService } from '../../../agent/node/network-service.ts';
import type { RandomUUID } from '../../../runtime/clock.ts';
import type { SimulatedNetwork } from '../../wire/network.ts';
import type { Step, Visiting } from '../../wire/script.ts';
import { Addresses } from './addresses.ts';
import { hostPortOf, mappingsIn, readPolicies } from './policies.ts';
import { type EndpointDocument, endpointChange, endpointDocument, type Policy } from './schema.ts';

/** The names of the calls in errors. */
const operations = {
  hnsVersion: 'HNSCall',
  listNetworks: 'HcnEnumerateNetworks',
  readNetwork: 'HcnOpenNetwork',
  listEndpoints: 'HcnEnumerateEndpoints',
  readEndpoint: 'HcnOpenEndpoint',
  createEndpoint: 'HcnCreateEndpoint',
  modifyEndpoint: 'HcnOpenEndpoint',
  deleteEndpoint: 'HcnDeleteEndpoint',
} as const satisfies Partial<Record<Step, string>>;
type NetworkStep = keyof typeof operations;

interface Endpoint {
  readonly network: SimulatedNetwork;
  readonly name: string;
  readonly macAddress: string;
  readonly addresses: readonly { readonly address: string; readonly length: number }[];
  readonly routes: EndpointDocument['Routes'];
  readonly dns: EndpointDocument['Dns'];
  policies: readonly Policy[];
}

export interface SimulatedHnsOptions {
  readonly version: HnsVersion;
  readonly isInstalled: boolean;
  readonly networks: readonly SimulatedNetwork[];
  readonly script: Visiting;
  /** Makes MAC addresses. */
  readonly randomUUID: RandomUUID;
}

/** Most endpoints of a node. */
const mostEndpoints = 8192;

export class SimulatedHns implements NetworkService {
  readonly #options: SimulatedHnsOptions;
  readonly #networks = new Map<string, SimulatedNetwork>();
  readonly #endpoints = new Map<EndpointId, Endpoint>();

  constructor(options: SimulatedHnsOptions) {
    this.#options = options;
    for (const network of options.networks) this.addNetwork(network);
  }

  async version(): Promise<HnsVersion> {
    await this.#pass('hnsVersion');
    return this.#options.version;
  }

  async listNetworks(): Promise<string> {
    await this.#pass('listNetworks');
    return JSON.stringify([...this.#networks.keys()].map(spelled));
  }

  async readNetwork(id: NetworkId): Promise<string> {
    await this.#pass('readNetwork');
    const { name, subnets, type, isPersistent } = this.#network('readNetwork', id);
    return JSON.stringify({
      ID: spelled(id),
      Name: name,
      Type: type,
      Ipams: [{ Type: 'Static', Subnets: subnets.map((IpAddressPrefix) => ({ IpAddressPrefix })) }],
      Flags: isPersistent ? 0 : 8,
      SchemaVersion: { Major: 2, Minor: 0 },
    });
  }

  async listEndpoints(): Promise<string> {
    await this.#pass('listEndpoints');
    return JSON.stringify([...this.#endpoints.keys()].map(spelled));
  }

  async readEndpoint(id: EndpointId): Promise<string> {
    await this.#pass('readEndpoint');
    return this.#propertiesOf('readEndpoint', id);
  }

  async createEndpoint(networkId: NetworkId, id: EndpointId, text: string): Promise<string> {
    await this.#pass('createEndpoint');
    const operation = operations.createEndpoint;
    const network = this.#networks.get(networkId);
    if (network === undefined) throw new HnsError('HcnOpenNetwork', hnsResult.networkNotFound, networkId);
    if (this.#endpoints.has(id)) throw new HnsError(operation, hnsResult.alreadyExists, id);
    if (this.#endpoints.size >= mostEndpoints) throw new HnsError(operation, 0x8007_05aa);
    const document = endpointDocument.safeParse(parseJson(text));
    if (!document.success) throw new HnsError(operation, hnsResult.invalidJson, document.error.issues[0]?.message);
    const policies = readPolicies(operation, document.data.Policies, network);
    this.#checkPorts(operation, policies, undefined);
    this.#endpoints.set(id, this.#newEndpoint(document.data, network, policies));
    return this.#propertiesOf('createEndpoint', id);
  }

  async modifyEndpoint(id: EndpointId, text: string): Promise<void> {
    await this.#pass('modifyEndpoint');
    const operation = 'HcnModifyEndpoint';
    const endpoint = this.#endpoint('modifyEndpoint', id);
    const change = endpointChange.safeParse(parseJson(text));
    if (!change.success) throw new HnsError(operation, hnsResult.invalidJson, change.error.issues[0]?.message);
    const { RequestType, Settings } = change.data;
    const policies = readPolicies(operation, Settings.Policies, endpoint.network);
    if (RequestType === 'Remove') endpoint.policies = without(endpoint.policies, policies);
    else {
      const wished = RequestType === 'Add' ? [...endpoint.policies, ...policies] : policies;
      this.#checkPorts(operation, wished, id);
      endpoint.policies = wished;
    }
  }

  async deleteEndpoint(id: EndpointId): Promise<void> {
    await this.#pass('deleteEndpoint');
    this.#endpoint('deleteEndpoint', id);
    this.#endpoints.delete(id);
  }

  // --- what an administrator, or Windows, does ------------------------------------------------------------------------

  addNetwork(network: SimulatedNetwork): void {
    this.#networks.set(network.id, network);
  }

  /** Its endpoints go with it. */
  removeNetwork(id: string): void {
    this.#networks.delete(id);
    this.#dropEndpoints((endpoint) => endpoint.network.id === id);
  }

  restart(): void {
    this.#dropEndpoints(() => true);
    this.#dropTemporary();
  }

  reboot(): void {
    this.#dropTemporary();
  }

  #dropTemporary(): void {
    for (const { id, isPersistent } of [...this.#networks.values()]) if (!isPersistent) this.removeNetwork(id);
  }

  #dropEndpoints(goes: (endpoint: Endpoint) => boolean): void {
    for (const [id, endpoint] of [...this.#endpoints]) if (goes(endpoint)) this.#endpoints.delete(id);
  }

  // --- endpoints ------------------------------------------------------------------------------------------------------

  #propertiesOf(step: NetworkStep, id: EndpointId): string {
    const { addresses, dns, macAddress, name, network, policies, routes } = this.#endpoint(step, id);
    return JSON.stringify({
      ID: spelled(id),
      Name: name,
      HostComputeNetwork: spelled(network.id),
      MacAddress: macAddress,
      IpConfigurations: addresses.map(({ address, length }) => ({ IpAddress: address, PrefixLength: length })),
      Routes: routes,
      Dns: dns,
      Policies: policies,
      SchemaVersion: { Major: 2, Minor: 0 },
    });
  }

  #newEndpoint(document: EndpointDocument, network: SimulatedNetwork, policies: readonly Policy[]): Endpoint {
    const addresses = new Addresses(network.subnets);
    const { gateway } = addresses;
    const isDnsGiven = (document.Dns.ServerList ?? []).length > 0;
    const defaultRoute = gateway === undefined ? [] : [{ NextHop: gateway, DestinationPrefix: '0.0.0.0/0' }];
    return {
      network,
      name: document.Name,
      macAddress: document.MacAddress ?? this.#newMacAddress(),
      addresses: this.#addressesFor(document, network, addresses),
      routes: document.Routes.length > 0 ? document.Routes : defaultRoute,
      // HNS adds a server of its own when none is given.
      dns: isDnsGiven || gateway === undefined ? document.Dns : { ...document.Dns, ServerList: [gateway] },
      policies,
    };
  }

  #addressesFor({ IpConfigurations }: EndpointDocument, network: SimulatedNetwork, addresses: Addresses) {
    const operation = operations.createEndpoint;
    const used = this.#usedOn(network);
    for (const { IpAddress } of IpConfigurations) {
      if (!addresses.contains(IpAddress)) throw new HnsError(operation, hnsResult.invalidAddress, IpAddress);
      if (addresses.isReserved(IpAddress) || used.has(IpAddress)) {
        throw new HnsError(operation, hnsResult.addressInUse, IpAddress);
      }
    }
    if (IpConfigurations.length > 0) {
      return IpConfigurations.map(({ IpAddress, PrefixLength }) => ({ address: IpAddress, length: PrefixLength }));
    }
    if (network.subnets.length === 0) return [];
    const free = addresses.free(used);
    if (free === undefined) throw new HnsError(operation, hnsResult.addressInUse, 'no available addresses');
    return [free];
  }

  #usedOn({ id }: SimulatedNetwork): ReadonlySet<string> {
    const endpoints = [...this.#endpoints.values()].filter(({ network }) => network.id === id);
    return new Set(endpoints.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
  }

  #newMacAddress(): string {
    const octets = this.#options.randomUUID().slice(0, 6).toUpperCase().match(/../g) ?? [];
    return ['00', '15', '5D', ...octets].join('-');
  }

  #checkPorts(operation: string, policies: readonly Policy[], self: EndpointId | undefined): void {
    const wished = mappingsIn(policies).map(hostPortOf);
    const others = [...this.#endpoints].filter(([id]) => id !== self);
    const taken = new Set(others.flatMap(([, endpoint]) => mappingsIn(endpoint.policies).map(hostPortOf)));
    const isTwice = new Set(wished).size < wished.length;
    if (isTwice || wished.some((each) => taken.has(each))) throw new HnsError(operation, hnsResult.portTaken);
  }

  #network(step: NetworkStep, id: NetworkId): SimulatedNetwork {
    const network = this.#networks.get(id);
    if (network === undefined) throw new HnsError(operations[step], hnsResult.networkNotFound, id);
    return network;
  }

  #endpoint(step: NetworkStep, id: EndpointId): Endpoint {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) throw new HnsError(operations[step], hnsResult.endpointNotFound, id);
    return endpoint;
  }

  async #pass(step: NetworkStep): Promise<void> {
    if (!this.#options.isInstalled) throw new HnsError('computenetwork.dll', hnsResult.moduleNotFound);
    const verdict = await this.#options.script.visit(step, {});
    if (verdict.kind !== 'fail') return;
    throw new HnsError(operations[step], verdict.hresult ?? 0x8000_4005, verdict.message);
  }
}

/** HNS spells GUIDs in upper case. */
function spelled(id: string): string {
  return id.toUpperCase();
}

/** One of each that is to go. */
function without(policies: readonly Policy[], gone: readonly Policy[]): readonly Policy[] {
  const left = gone.map((each) => JSON.stringify(each));
  return policies.filter((each) => {
    const index = left.indexOf(JSON.stringify(each));
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
