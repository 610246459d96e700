// An endpoint of the Host Compute Network service, as its properties say it.
import { z } from 'zod';
import type { NetworkEndpoint } from '../../../agent/network/endpoint.ts';

const texts = z.array(z.string()).default([]);
const overheadPolicy = z.object({ Type: z.literal('EncapOverhead'), Settings: z.object({ Overhead: z.int() }) });

export const endpoint = z
  .looseObject({
    ID: z.string(),
    Name: z.string().default(''),
    HostComputeNamespace: z.string().default(''),
    MacAddress: z.string().default(''),
    Policies: z.array(z.unknown()).default([]),
    IpConfigurations: z.array(z.object({ IpAddress: z.string(), PrefixLength: z.int().default(0) })).default([]),
    Dns: z
      .looseObject({ Domain: z.string().default(''), Search: texts, ServerList: texts })
      .default({ Domain: '', Search: [], ServerList: [] }),
    Routes: z
      .array(
        z.object({
          NextHop: z.string().default(''),
          DestinationPrefix: z.string().default(''),
          Metric: z.int().default(0),
        }),
      )
      .default([]),
  })
  .transform((it): NetworkEndpoint & { readonly name: string } => ({
    id: it.ID,
    name: it.Name,
    macAddress: it.MacAddress,
    namespaceId: it.HostComputeNamespace,
    dns: { domain: it.Dns.Domain, search: it.Dns.Search, servers: it.Dns.ServerList },
    encapOverhead: overheadIn(it.Policies),
    addresses: it.IpConfigurations.map(({ IpAddress, PrefixLength }) => ({
      address: IpAddress,
      prefixLength: PrefixLength,
    })),
    routes: it.Routes.map((route) => ({
      nextHop: route.NextHop,
      destination: route.DestinationPrefix,
      metric: route.Metric,
    })),
  }));
export type NamedEndpoint = z.infer<typeof endpoint>;

/** The last one counts. */
function overheadIn(policies: readonly unknown[]): number {
  const found = policies.map((policy) => overheadPolicy.safeParse(policy)).filter(({ success }) => success);
  return found.at(-1)?.data?.Settings.Overhead ?? 0;
}
