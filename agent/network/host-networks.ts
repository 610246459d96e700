// The networks and endpoints of the host, as the rest of the agent uses them: the calls of the node's
// `NetworkService`, with their answers read.
import { HnsError, hnsResult } from '../node/hns-error.ts';
import type { EndpointId, HnsVersion, NetworkId, NetworkService } from '../node/network-service.ts';
import { EndpointUnreadable, readEndpoint, type ToldEndpoint } from './endpoint.ts';
import type { EndpointDocument } from './endpoint-document.ts';
import { endpointId, type HostNetwork, NetworkUnreadable, networkId, readIds, readNetwork } from './network.ts';

/** Every call rejects with an `HnsError`, and has no bound of its own. */
export interface HostNetworks {
  version(): Promise<HnsVersion>;
  networks(): Promise<readonly NetworkId[]>;
  network(id: NetworkId): Promise<HostNetwork>;
  /** The endpoints of every owner. */
  endpoints(): Promise<readonly EndpointId[]>;
  endpoint(id: EndpointId): Promise<ToldEndpoint>;
  /** What HNS made: it may have given it another id. */
  createEndpoint(network: NetworkId, document: EndpointDocument): Promise<ToldEndpoint>;
  modifyEndpoint(id: EndpointId, change: string): Promise<void>;
  deleteEndpoint(id: EndpointId): Promise<void>;
}

export class ServiceNetworks implements HostNetworks {
  readonly #service: NetworkService;

  constructor(service: NetworkService) {
    this.#service = service;
  }

  version(): Promise<HnsVersion> {
    return this.#service.version();
  }

  networks(): Promise<readonly NetworkId[]> {
    return read('HcnEnumerateNetworks', this.#service.listNetworks(), (text) => readIds(networkId, text));
  }

  network(id: NetworkId): Promise<HostNetwork> {
    return read('HcnQueryNetworkProperties', this.#service.readNetwork(id), readNetwork);
  }

  endpoints(): Promise<readonly EndpointId[]> {
    return read('HcnEnumerateEndpoints', this.#service.listEndpoints(), (text) => readIds(endpointId, text));
  }

  endpoint(id: EndpointId): Promise<ToldEndpoint> {
    return read('HcnQueryEndpointProperties', this.#service.readEndpoint(id), readEndpoint);
  }

  createEndpoint(network: NetworkId, { id, text }: EndpointDocument): Promise<ToldEndpoint> {
    return read('HcnQueryEndpointProperties', this.#service.createEndpoint(network, id, text), readEndpoint);
  }

  modifyEndpoint(id: EndpointId, change: string): Promise<void> {
    return this.#service.modifyEndpoint(id, change);
  }

  deleteEndpoint(id: EndpointId): Promise<void> {
    return this.#service.deleteEndpoint(id);
  }
}

async function read<Told>(operation: string, answer: Promise<string>, parse: (text: string) => Told): Promise<Told> {
  const text = await answer;
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof NetworkUnreadable || error instanceof EndpointUnreadable)) throw error;
    throw new HnsError(operation, hnsResult.unexpectedAnswer, error.message);
  }
}
