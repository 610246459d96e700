// The networks of a host and the version of its Host Networking Service. They stand in the facts of a `hello`, and
// follow in a message of their own when they change, because a session lasts longer than a network.
import { z } from 'zod';
import { boundedList, boundedText } from './bounded.ts';

/** In `welcome.capabilities`: this operator understands the message `networks`. An unknown message would end the session. */
export const networksCapability = 'networks';

export const networkLimits = {
  networks: 64,
  subnets: 8,
  nameChars: 256,
  typeChars: 64,
  subnetChars: 64,
  versionChars: 32,
  /** Largest facts about networks that are kept, as JSON. */
  bytes: 8 * 1024,
} as const;

const network = z.object({
  name: boundedText(networkLimits.nameChars),
  id: z.guid(),
  type: boundedText(networkLimits.typeChars),
  subnets: boundedList(boundedText(networkLimits.subnetChars), networkLimits.subnets),
});

export const networkFacts = z.object({
  /** As `major.minor`; absent if HNS does not tell it. */
  hnsVersion: boundedText(networkLimits.versionChars).optional(),
  networks: boundedList(network, networkLimits.networks),
});
export type NetworkFacts = z.infer<typeof networkFacts>;

/** Leaves out the networks for which there is no room. */
export function boundedNetworkFacts(facts: NetworkFacts): NetworkFacts {
  let room: number = networkLimits.bytes;
  const networks = facts.networks.slice(0, networkLimits.networks).filter((each) => {
    room -= Buffer.byteLength(JSON.stringify(each)) + 1;
    return room >= 0;
  });
  return { ...facts, networks };
}
