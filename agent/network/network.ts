// A network of the host, and lists of ids, as the Host Networking Service tells them (docs/reference/hns.md).
import { z } from 'zod';
import type { EndpointId, NetworkId } from '../node/network-service.ts';
import { FieldError, itemsOf, list, structure, text } from './fields.ts';
import { parseJsonTree } from './json-tree.ts';

export interface HostNetwork {
  readonly id: NetworkId;
  /** Not unique; empty if HNS tells none. */
  readonly name: string;
  /** Such as `NAT`, `L2Bridge`, `Transparent` or `Overlay`. */
  readonly type: string;
  /** As `address/length`. */
  readonly subnets: readonly string[];
}

const properties = structure({
  ID: text,
  Name: text,
  Type: text,
  Ipams: list(structure({ Subnets: list(structure({ IpAddressPrefix: text })) })),
});

const guid = z.guid().toLowerCase();
export const networkId = guid.transform((id) => id as NetworkId);
export const endpointId = guid.transform((id) => id as EndpointId);

/** The text is no JSON, or some member has another kind than the service documents. */
export class NetworkUnreadable extends Error {
  override readonly name = 'NetworkUnreadable';
}

/** Throws a NetworkUnreadable. */
export function readNetwork(propertiesText: string): HostNetwork {
  try {
    const told = properties.read(parseJsonTree(propertiesText), properties.blank);
    const subnets = itemsOf(told.Ipams).flatMap((ipam) => itemsOf(ipam.Subnets));
    return {
      id: networkId.parse(told.ID),
      name: told.Name,
      type: told.Type,
      subnets: subnets.map(({ IpAddressPrefix }) => IpAddressPrefix).filter((prefix) => prefix !== ''),
    };
  } catch (error) {
    throw unreadable('the properties of the network', error);
  }
}

/** HNS lists nothing as `null` or as an empty text. Throws a NetworkUnreadable. */
export function readIds<Id>(idSchema: z.ZodType<Id>, listText: string): readonly Id[] {
  if (listText.trim() === '') return [];
  try {
    return z.array(idSchema).nullable().parse(JSON.parse(listText)) ?? [];
  } catch (error) {
    throw unreadable('a list of the service', error);
  }
}

function unreadable(what: string, error: unknown): unknown {
  const isExpected = error instanceof FieldError || error instanceof SyntaxError || error instanceof z.ZodError;
  if (!isExpected) return error;
  const why = error instanceof z.ZodError ? z.prettifyError(error) : error.message;
  return new NetworkUnreadable(`${what} cannot be read: ${why}`, { cause: error });
}
