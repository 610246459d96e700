// The interface of computenetwork.dll for the rest of this folder (docs/reference/hns.md); `./computenetwork.ts` binds
// it. Each function waits for the service, so each returns a promise. HRESULTs are unsigned 32-bit numbers.

declare const networkHandle: unique symbol;
declare const endpointHandle: unique symbol;

/** Branded: a handle of the wrong kind would crash the process instead of failing. */
export type NetworkHandle = bigint & { readonly [networkHandle]: true };
export type EndpointHandle = bigint & { readonly [endpointHandle]: true };

export interface NativeOutcome {
  readonly hresult: number;
  /** The error record, a JSON text. Absent for NULL. */
  readonly error: string | undefined;
}

export interface NativeText extends NativeOutcome {
  /** Absent for NULL. */
  readonly text: string | undefined;
}

export interface NativeOpened<Handle> extends NativeOutcome {
  readonly handle: Handle | undefined;
}

export interface ComputeNetwork {
  /** A call of the older interface of HNS, which tells its version. Absent if vmcompute.dll has no such function. */
  readonly hnsCall: ((method: string, path: string, request: string) => Promise<NativeText>) | undefined;
  enumerateNetworks(query: string): Promise<NativeText>;
  openNetwork(id: string): Promise<NativeOpened<NetworkHandle>>;
  networkProperties(network: NetworkHandle, query: string): Promise<NativeText>;
  closeNetwork(network: NetworkHandle): Promise<void>;
  enumerateEndpoints(query: string): Promise<NativeText>;
  openEndpoint(id: string): Promise<NativeOpened<EndpointHandle>>;
  createEndpoint(network: NetworkHandle, id: string, document: string): Promise<NativeOpened<EndpointHandle>>;
  endpointProperties(endpoint: EndpointHandle, query: string): Promise<NativeText>;
  modifyEndpoint(endpoint: EndpointHandle, change: string): Promise<NativeOutcome>;
  deleteEndpoint(id: string): Promise<NativeOutcome>;
  closeEndpoint(endpoint: EndpointHandle): Promise<void>;
}
