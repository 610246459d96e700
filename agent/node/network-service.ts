// What a node has of the Host Networking Service (docs/reference/hns.md): calls that take and give texts, as HNS does.
// `agent/network/host-networks.ts` reads the texts. Two implementations share one contract: `computenetwork` on Windows
// and the simulated one. Every call may be slow or may never return: the caller bounds it, and a call that exceeded its
// bound is still running. Calls reject with an `HnsError`.

declare const networkId: unique symbol;
declare const endpointId: unique symbol;

/** The GUID of a network of the host, in lower case. Names of networks are not unique. */
export type NetworkId = string & { readonly [networkId]: true };
/** The GUID of an endpoint: the place on a network that one adapter takes. In lower case. */
export type EndpointId = string & { readonly [endpointId]: true };

export interface HnsVersion {
  readonly major: number;
  readonly minor: number;
}

export interface NetworkService {
  version(): Promise<HnsVersion>;
  /** A JSON list of ids. */
  listNetworks(): Promise<string>;
  /** The properties of a network, a JSON object. */
  readNetwork(id: NetworkId): Promise<string>;
  /** A JSON list of the ids of all endpoints, of every owner. */
  listEndpoints(): Promise<string>;
  readEndpoint(id: EndpointId): Promise<string>;
  /** The properties of what HNS made: it may have given it another id. */
  createEndpoint(network: NetworkId, id: EndpointId, document: string): Promise<string>;
  modifyEndpoint(id: EndpointId, change: string): Promise<void>;
  deleteEndpoint(id: EndpointId): Promise<void>;
}
