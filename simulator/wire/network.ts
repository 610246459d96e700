// A network of a simulated Windows node, as its description and the messages of its service have it.
import { z } from 'zod';

export const networkTypes = ['NAT', 'L2Bridge', 'Transparent', 'Internal', 'ICS'] as const;

export const simulatedNetwork = z.strictObject({
  id: z.guid().toLowerCase(),
  name: z.string().max(256),
  type: z.enum(networkTypes).default('NAT'),
  /** As `address/length`. Addresses are allocated in subnets of IPv4. */
  subnets: z
    .array(z.union([z.cidrv4(), z.cidrv6()]))
    .max(16)
    .default([]),
  /** False for a network that goes when HNS or the node starts again. */
  isPersistent: z.boolean().default(true),
});
export type SimulatedNetwork = z.infer<typeof simulatedNetwork>;
export type SimulatedNetworkInput = z.input<typeof simulatedNetwork>;
