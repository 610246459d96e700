// The Host Networking Service of a simulated node, for its agent.
import { HcsError } from '../../agent/node/hcs-error.ts';
import { HnsError, hnsResult } from '../../agent/node/hns-error.ts';
import type { EndpointId, HnsVersion, NetworkId, NetworkService } from '../../agent/node/network-service.ts';
import type { Method, Params, Result } from '../wire/rpc.ts';
import type { RpcClient } from './rpc-client.ts';

export class SimulatedNetworks implements NetworkService {
  readonly #client: RpcClient;

  constructor(client: RpcClient) {
    this.#client = client;
  }

  version(): Promise<HnsVersion> {
    return this.#call('hnsVersion', {});
  }

  async listNetworks(): Promise<string> {
    return (await this.#call('listNetworks', {})).text;
  }

  async readNetwork(id: NetworkId): Promise<string> {
    return (await this.#call('readNetwork', { id })).text;
  }

  async listEndpoints(): Promise<string> {
    return (await this.#call('listEndpoints', {})).text;
  }

  async readEndpoint(id: EndpointId): Promise<string> {
    return (await this.#call('readEndpoint', { id })).text;
  }

  async createEndpoint(network: NetworkId, id: EndpointId, document: string): Promise<string> {
    return (await this.#call('createEndpoint', { network, id, document })).text;
  }

  async modifyEndpoint(id: EndpointId, change: string): Promise<void> {
    await this.#call('modifyEndpoint', { id, change });
  }

  async deleteEndpoint(id: EndpointId): Promise<void> {
    await this.#call('deleteEndpoint', { id });
  }

  async #call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    try {
      return await this.#client.call(method, params);
    } catch (error) {
      throw error instanceof HcsError ? ofNetworks(error) : error;
    }
  }
}

/** On the wire, a failure is an HRESULT, whatever service it comes from. */
function ofNetworks({ detail, hresult, isServiceDisconnect, operation }: HcsError): HnsError {
  return new HnsError(operation, isServiceDisconnect ? hnsResult.serverUnavailable : hresult, detail);
}
