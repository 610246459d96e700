// Whether the simulated HNS accepts the policies of an endpoint, on a network of this kind.
import { HnsError, hnsResult } from '../../../agent/node/hns-error.ts';
import type { SimulatedNetwork } from '../../wire/network.ts';
import { type Policy, type PortMapping, policy, policyTypes } from './schema.ts';

/** HRESULTs that only policies get. */
const refusals = { unknownType: 0x803b_000e, mappingNotSupported: 0x803b_0016 } as const;

/** Throws the HnsError of a refusal. */
export function readPolicies(
  operation: string,
  given: readonly { readonly Type: string }[],
  network: SimulatedNetwork,
): readonly Policy[] {
  const read = given.map((each) => readPolicy(operation, each));
  for (const mapping of mappingsIn(read)) checkMapping(operation, mapping, network);
  return read;
}

function readPolicy(operation: string, given: { readonly Type: string }): Policy {
  if (!policyTypes.has(given.Type)) throw new HnsError(operation, refusals.unknownType, given.Type);
  const parsed = policy.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new HnsError(operation, hnsResult.invalidPolicy, parsed.error.issues[0]?.message);
}

function checkMapping(operation: string, { Settings }: PortMapping, { type }: SimulatedNetwork): void {
  if (type === 'Transparent') throw new HnsError(operation, refusals.mappingNotSupported);
  if (type === 'L2Bridge' && (Settings.VIP === undefined || Settings.Flags !== 1)) {
    throw new HnsError(operation, hnsResult.invalidPolicy, 'a port mapping on an L2Bridge needs VIP and Flags 1');
  }
}

export function mappingsIn(policies: readonly Policy[]): readonly PortMapping[] {
  return policies.filter((each) => each.Type === 'PortMapping');
}

/** What only one endpoint of the host can have. */
export function hostPortOf({ Settings: { ExternalPort, Protocol } }: PortMapping): string {
  return `${Protocol}/${ExternalPort}`;
}
