// How the VMs of a set are spread over the hosts (design §13): by the topology spread constraints of the set, which mean
// what those of a Pod mean. Pure: the VMs of the set are counted by whoever asks.
import type { TopologySpreadConstraint } from '../../../crds/linux-utility-vm-set.ts';
import type { Node } from '../../kubernetes/objects.ts';

const hostnameLabel = 'kubernetes.io/hostname';

/** A host, as far as spreading looks at it. */
export interface SpreadHost {
  readonly nodeName: string;
  readonly labels: Node['metadata']['labels'];
}

/** One constraint, with the other VMs of the set by domain. Ordered by domain. */
export interface CountedConstraint extends Pick<TopologySpreadConstraint, 'topologyKey' | 'maxSkew'> {
  readonly counts: readonly (readonly [domain: string, count: number])[];
}

/** Lower is better, the first number first. */
export type Preference = (host: SpreadHost) => readonly number[];

/** Undefined if the host is in no domain. A Node without the label of its own name is a domain all the same. */
export function domainOf({ nodeName, labels }: SpreadHost, topologyKey: string): string | undefined {
  return labels?.[topologyKey] ?? (topologyKey === hostnameLabel ? nodeName : undefined);
}

export function countedIn(
  { topologyKey, maxSkew }: TopologySpreadConstraint,
  hostsOfOthers: ReadonlyMap<string, number>,
  labelsOf: (nodeName: string) => SpreadHost['labels'],
): CountedConstraint {
  const counts = new Map<string, number>();
  for (const [nodeName, count] of hostsOfOthers) {
    const domain = domainOf({ nodeName, labels: labelsOf(nodeName) }, topologyKey);
    if (domain !== undefined) counts.set(domain, (counts.get(domain) ?? 0) + count);
  }
  return { topologyKey, maxSkew, counts: [...counts].sort(([a], [b]) => (a < b ? -1 : 1)) };
}

/** Domains with fewer VMs of the set are better, and the host that a VM could not start on is the last choice. */
export function preferenceOf(constraints: readonly CountedConstraint[], avoided: string | undefined): Preference {
  const counted = constraints.map(({ topologyKey, counts }) => ({ topologyKey, counts: new Map(counts) }));
  return (host) => [
    host.nodeName === avoided ? 1 : 0,
    ...counted.map(({ topologyKey, counts }) => {
      const domain = domainOf(host, topologyKey);
      return domain === undefined ? Number.POSITIVE_INFINITY : (counts.get(domain) ?? 0);
    }),
  ];
}

/**
 * Why a host is refused: it is in no domain, or its domain would have more than `maxSkew` VMs more than the domain with
 * the fewest. `eligible`: hosts that the VM's node selector admits.
 */
export function spreadRefusals(
  constraints: readonly CountedConstraint[],
  eligible: readonly SpreadHost[],
): (host: SpreadHost) => string | undefined {
  const judged = constraints.map(({ topologyKey, maxSkew, counts: all }) => {
    const counts = new Map(all);
    const domains = new Set(eligible.flatMap((host) => domainOf(host, topologyKey) ?? []));
    const fewest = Math.min(...[...domains].map((domain) => counts.get(domain) ?? 0));
    return { topologyKey, counts, most: fewest + maxSkew };
  });
  return (host) => {
    for (const { topologyKey, counts, most } of judged) {
      const domain = domainOf(host, topologyKey);
      if (domain === undefined) return `no label ${topologyKey}, which the set spreads over`;
      if ((counts.get(domain) ?? 0) >= most) return `too many VMs of the set in one ${topologyKey}`;
    }
    return undefined;
  };
}
