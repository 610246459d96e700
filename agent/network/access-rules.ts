// The access rules of an endpoint, in the order in which they hold (docs/reference/hns.md): what is always blocked, then
// the user's rules, then what nothing else decides. All are of RuleType `Switch`, which the host's virtual switch
// enforces outside of the guest.
import { type EndpointPolicy, protocolNumbers } from './policy.ts';

export interface AccessRule {
  readonly action: 'Allow' | 'Block';
  readonly direction: 'In' | 'Out';
  /** Absent = every protocol. */
  readonly protocol?: 'TCP' | 'UDP' | undefined;
  /** Addresses or subnets; absent = all. */
  readonly remoteAddresses?: readonly string[] | undefined;
  readonly remotePorts?: readonly number[] | undefined;
  readonly localPorts?: readonly number[] | undefined;
  /** The rule with the lowest number decides. */
  readonly priority: number;
}

/** The priorities that a user may give: the agent's own rules stand before and after them. */
export const userPriorities = { first: 1000, last: 60_000 } as const;

const priorities = { metadataNames: 100, metadata: 110, otherwise: 65_000 } as const;

/**
 * Where clouds serve the credentials of the host. They answer look-ups of names at the same addresses. Each family has
 * rules of its own.
 */
const metadata = ['169.254.0.0/16', 'fd00:ec2::/32'];
/** Azure's host agent, which is its DNS server, too. */
const hostAgent = { addresses: ['168.63.129.16'], ports: [80, 32_526] };

const blockedByDefault: readonly AccessRule[] = [
  ...metadata.flatMap((subnet) => metadataRules([subnet])),
  {
    action: 'Block',
    direction: 'Out',
    protocol: 'TCP',
    remoteAddresses: hostAgent.addresses,
    remotePorts: hostAgent.ports,
    priority: priorities.metadata,
  },
];

function metadataRules(remoteAddresses: readonly string[]): readonly AccessRule[] {
  const names = { action: 'Allow', direction: 'Out', remoteAddresses, remotePorts: [53] } as const;
  return [
    { ...names, protocol: 'UDP', priority: priorities.metadataNames },
    { ...names, protocol: 'TCP', priority: priorities.metadataNames },
    { action: 'Block', direction: 'Out', remoteAddresses, priority: priorities.metadata },
  ];
}

/**
 * With the rules that are always there. What no rule decides is allowed, and a rule of its own says so in each direction
 * that has others: HNS does not document what it does otherwise.
 */
export function accessPolicies(wished: readonly AccessRule[]): readonly EndpointPolicy[] {
  const decided = [...blockedByDefault, ...wished.toSorted((a, b) => a.priority - b.priority)];
  const directions = new Set(decided.map(({ direction }) => direction));
  const otherwise = [...directions].map(
    (direction): AccessRule => ({ action: 'Allow', direction, priority: priorities.otherwise }),
  );
  return [...decided, ...otherwise].map(policyOf);
}

function policyOf({ action, direction, priority, protocol, ...rule }: AccessRule): EndpointPolicy {
  const { localPorts = [], remoteAddresses = [], remotePorts = [] } = rule;
  return {
    Type: 'ACL',
    Settings: {
      Action: action,
      Direction: direction,
      ...(protocol !== undefined && { Protocols: String(protocolNumbers[protocol]) }),
      ...(remoteAddresses.length > 0 && { RemoteAddresses: remoteAddresses.join(',') }),
      ...(remotePorts.length > 0 && { RemotePorts: remotePorts.join(',') }),
      ...(localPorts.length > 0 && { LocalPorts: localPorts.join(',') }),
      RuleType: 'Switch',
      Priority: priority,
    },
  };
}
