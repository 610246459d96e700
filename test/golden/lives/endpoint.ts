// An endpoint of the Host Compute Network service, as its properties say it.
import { z } from 'zod';
import { type NetworkEndpoint, readEndpoint, withOverhead } from '../../../agent/network/endpoint.ts';

export type NamedEndpoint = NetworkEndpoint & { readonly name: string };

export const endpoint = z.looseObject({}).transform((properties): NamedEndpoint => {
  const told = readEndpoint(JSON.stringify(properties));
  return { ...withOverhead(told), name: told.name };
});
