// The Host Networking Service of a Windows that has none.
import { HnsError, hnsResult } from '../../../agent/node/hns-error.ts';
import type { NetworkService } from '../../../agent/node/network-service.ts';

const refuse = () => Promise.reject(new HnsError('computenetwork.dll', hnsResult.moduleNotFound));

export const noNetworks: NetworkService = {
  version: refuse,
  listNetworks: refuse,
  readNetwork: refuse,
  listEndpoints: refuse,
  readEndpoint: refuse,
  createEndpoint: refuse,
  modifyEndpoint: refuse,
  deleteEndpoint: refuse,
};
