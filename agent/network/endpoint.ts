// An endpoint as the Host Compute Network service tells it: the text of its properties, read as the original reads it.
import {
  anything,
  FieldError,
  integer,
  itemsOf,
  list,
  raw,
  structure,
  text,
  unsigned,
  type ValueOf,
} from './fields.ts';
import { parseJsonTree } from './json-tree.ts';

/** What an adapter of a VM needs to know of its endpoint. */
export interface NetworkEndpoint {
  readonly id: string;
  readonly macAddress: string;
  readonly namespaceId: string;
  readonly dns: { readonly domain: string; readonly search: readonly string[]; readonly servers: readonly string[] };
  /** From the policy of this name; 0 without one. */
  readonly encapOverhead: number;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
  readonly routes: readonly { readonly nextHop: string; readonly destination: string; readonly metric: number }[];
}

const texts = list(text);
/** Of some members nothing is made here, but the original refuses an endpoint in which their kind is wrong. */
const properties = structure({
  ID: text,
  Name: text,
  HostComputeNetwork: text,
  HostComputeNamespace: text,
  Policies: list(structure({ Type: text, Settings: raw })),
  IpConfigurations: list(structure({ IpAddress: text, PrefixLength: unsigned(8), IpSubnetId: text })),
  Dns: structure({ Domain: text, Search: texts, ServerList: texts, Options: texts }),
  Routes: list(structure({ NextHop: text, DestinationPrefix: text, Metric: unsigned(16) })),
  MacAddress: text,
  Flags: unsigned(32),
  Health: structure({
    Data: anything,
    Extra: structure({
      Resources: raw,
      SharedContainers: raw,
      LayeredOn: text,
      SwitchGuid: text,
      UtilityVM: text,
      VirtualMachine: text,
    }),
  }),
  SchemaVersion: structure({ Major: integer, Minor: integer }),
});
const overheadSettings = structure({ Overhead: unsigned(16) });

type Policies = ValueOf<typeof properties>['Policies'];

/** What is read of a policy only when an adapter is added: a wrong one does not hinder its removal. */
export type EncapOverhead =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'malformed'; readonly message: string };

export type ToldEndpoint = Omit<NetworkEndpoint, 'encapOverhead'> & {
  readonly name: string;
  readonly networkId: string;
  readonly encapOverhead: EncapOverhead;
};

/** The text is no JSON, or some member has another kind or range than the service documents. */
export class EndpointUnreadable extends Error {
  override readonly name = 'EndpointUnreadable';
}

/** Throws an EndpointUnreadable. */
export function readEndpoint(propertiesText: string): ToldEndpoint {
  const told = parsed(propertiesText);
  return {
    id: told.ID,
    name: told.Name,
    networkId: told.HostComputeNetwork,
    namespaceId: told.HostComputeNamespace,
    macAddress: told.MacAddress,
    dns: { domain: told.Dns.Domain, search: itemsOf(told.Dns.Search), servers: itemsOf(told.Dns.ServerList) },
    encapOverhead: encapOverheadIn(told.Policies),
    addresses: itemsOf(told.IpConfigurations).map((each) => ({
      address: each.IpAddress,
      prefixLength: each.PrefixLength,
    })),
    routes: itemsOf(told.Routes).map((each) => ({
      nextHop: each.NextHop,
      destination: each.DestinationPrefix,
      metric: each.Metric,
    })),
  };
}

function parsed(propertiesText: string): ValueOf<typeof properties> {
  try {
    return properties.read(parseJsonTree(propertiesText), properties.blank);
  } catch (error) {
    if (!(error instanceof FieldError || error instanceof SyntaxError)) throw error;
    throw new EndpointUnreadable(`the properties of the endpoint cannot be read: ${error.message}`, { cause: error });
  }
}

/** The last policy counts, also when it says 0; the first one that is malformed ends the search. */
function encapOverheadIn(policies: Policies): EncapOverhead {
  let bytes = 0;
  for (const { Settings, Type } of itemsOf(policies)) {
    if (Type !== 'EncapOverhead') continue;
    if (Settings === undefined) return { kind: 'malformed', message: 'the policy EncapOverhead has no settings' };
    try {
      bytes = overheadSettings.read(Settings, overheadSettings.blank).Overhead;
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      return { kind: 'malformed', message: error.message };
    }
  }
  return { kind: 'bytes', bytes };
}

/** The endpoint for an addition. Throws if a policy that it needs is malformed. */
export function withOverhead({ encapOverhead, ...endpoint }: ToldEndpoint): NetworkEndpoint {
  if (encapOverhead.kind === 'bytes') return { ...endpoint, encapOverhead: encapOverhead.bytes };
  throw new EndpointUnreadable(`unmarshal encap overhead policy setting: ${encapOverhead.message}`);
}
