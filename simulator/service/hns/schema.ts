// The documents that the simulated HNS takes (docs/reference/hns.md). It is strict: a member that HNS does not know is
// refused.
import { z } from 'zod';

const port = z.int().min(1).max(65_535);
const address = z.union([z.ipv4(), z.ipv6()]);
const guid = z.guid().toLowerCase();
/** Comma-separated. */
const list = z.string().min(1).max(4096);

const portMapping = z.strictObject({
  Type: z.literal('PortMapping'),
  Settings: z.strictObject({
    Protocol: z.union([z.literal(6), z.literal(17)]),
    InternalPort: port,
    ExternalPort: port,
    VIP: address.optional(),
    Flags: z.int().min(0).optional(),
  }),
});
export type PortMapping = z.infer<typeof portMapping>;

const acl = z.strictObject({
  Type: z.literal('ACL'),
  Settings: z.strictObject({
    Protocols: list.optional(),
    Action: z.enum(['Allow', 'Block']),
    Direction: z.enum(['In', 'Out']),
    LocalAddresses: list.optional(),
    RemoteAddresses: list.optional(),
    LocalPorts: list.optional(),
    RemotePorts: list.optional(),
    RuleType: z.enum(['Host', 'Switch']),
    Priority: z.int().min(0).max(65_500),
  }),
});

const qos = z.strictObject({
  Type: z.literal('QOS'),
  Settings: z.strictObject({ MaximumOutgoingBandwidthInBytes: z.int().min(1) }),
});

export const policy = z.discriminatedUnion('Type', [portMapping, acl, qos]);
export type Policy = z.infer<typeof policy>;
export const policyTypes: ReadonlySet<string> = new Set(['PortMapping', 'ACL', 'QOS']);

/** Policies are judged one by one, because each kind of mistake has a code of its own. */
const policies = z.array(z.looseObject({ Type: z.string() })).max(1024);

export const endpointDocument = z.strictObject({
  SchemaVersion: z.strictObject({ Major: z.literal(2), Minor: z.int().min(0) }),
  HostComputeNetwork: guid.optional(),
  ID: guid.optional(),
  Name: z.string().max(1024).default(''),
  MacAddress: z
    .string()
    .regex(/^[0-9A-F]{2}(-[0-9A-F]{2}){5}$/)
    .optional(),
  IpConfigurations: z
    .array(z.strictObject({ IpAddress: address, PrefixLength: z.int().min(0).max(128) }))
    .max(64)
    .default([]),
  Routes: z
    .array(
      z.strictObject({
        NextHop: address,
        DestinationPrefix: z.union([z.cidrv4(), z.cidrv6()]),
        Metric: z.int().min(0).max(65_535).optional(),
      }),
    )
    .max(256)
    .default([]),
  Dns: z
    .strictObject({
      Domain: z.string().optional(),
      Search: z.array(z.string()).optional(),
      ServerList: z.array(address).optional(),
      Options: z.array(z.string()).optional(),
    })
    .prefault({}),
  Policies: policies.default([]),
});
export type EndpointDocument = z.infer<typeof endpointDocument>;

export const endpointChange = z.strictObject({
  ResourceType: z.literal('Policy'),
  RequestType: z.enum(['Add', 'Remove', 'Update']),
  Settings: z.strictObject({ Policies: policies }),
});
