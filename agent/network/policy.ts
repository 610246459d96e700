// A policy of an endpoint, as HNS takes it (docs/reference/hns.md).

export interface EndpointPolicy {
  readonly Type: 'PortMapping' | 'ACL' | 'QOS';
  readonly Settings: Readonly<Record<string, unknown>>;
}

/** IANA protocol numbers, as HNS wants them. */
export const protocolNumbers = { TCP: 6, UDP: 17 } as const;
