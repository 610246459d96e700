// Network adapters of a life's VM: as the caller names their endpoints, or as HNS told the original of a namespace.
import { z } from 'zod';
import { applyChange, type ChangeTarget } from '../../../agent/modification/document.ts';
import { type AdapterGuest, addAdapter, removeAdapter } from '../../../agent/modification/network-adapters.ts';
import type { NetworkEndpoint } from '../../../agent/network/endpoint.ts';
import type { NamedEndpoint } from './endpoint.ts';
import { jsonOf } from './guest.ts';
import type { Step } from './life.ts';

/** In the order in which the original adds them: those whose name ends in eth0 come first, the later ones before. */
export function inOrder(endpoints: readonly NamedEndpoint[]): readonly NamedEndpoint[] {
  const isFirst = ({ name }: NamedEndpoint) => name.endsWith('eth0');
  return [...endpoints.filter(isFirst).reverse(), ...endpoints.filter((each) => !isFirst(each))];
}

const hostHalf = z.object({
  ResourcePath: z.string().startsWith('VirtualMachine/Devices/NetworkAdapters/'),
  RequestType: z.literal('Add'),
  Settings: z.object({ EndpointId: z.string().default(''), MacAddress: z.string().default('') }),
});
const guestHalf = z.object({
  Request: z.object({
    RequestType: z.literal('Add'),
    ResourceType: z.literal('Network'),
    Settings: z.object({
      NamespaceID: z.string().default(''),
      DNSSuffix: z.string().default(''),
      DNSServerList: z.string().default(''),
      EncapOverhead: z.int().default(0),
      IPConfigs: z.array(z.object({ IPAddress: z.string().default(''), PrefixLength: z.int().default(0) })).default([]),
      Routes: z
        .array(
          z.object({
            NextHop: z.string().default(''),
            DestinationPrefix: z.string().default(''),
            Metric: z.int().default(0),
          }),
        )
        .default([]),
    }),
  }),
});

/**
 * What HNS told is not in the recording, so it is read off from what the original made of it: of these adapters only order,
 * ids and form are compared. network-adapters.json compares the contents.
 */
export function endpointsTold(steps: readonly Step[]): readonly NamedEndpoint[] {
  const begin = steps.findIndex((step) => step.by === 'caller' && 'call' in step && step.call === 'setUpNetwork');
  const after = steps.slice(begin);
  const end = after.findIndex((step) => step.by === 'caller' && 'returned' in step);
  const during = after.slice(0, end < 0 ? after.length : end);
  const hosts = during.flatMap((step) => {
    const text = step.by === 'host' && 'call' in step ? step.args['configuration'] : undefined;
    const parsed = hostHalf.safeParse(typeof text === 'string' ? jsonOf(text) : undefined);
    return parsed.success ? [parsed.data.Settings] : [];
  });
  const guests = during.flatMap((step) => {
    const parsed = guestHalf.safeParse(step.by === 'host' && 'frame' in step ? jsonOf(step.payload) : undefined);
    return parsed.success ? [parsed.data.Request.Settings] : [];
  });
  return hosts.map(({ EndpointId, MacAddress }, index) => {
    const told = guests[index];
    return {
      id: EndpointId,
      name: '',
      macAddress: MacAddress,
      namespaceId: told?.NamespaceID ?? '',
      dns: { domain: '', search: listIn(told?.DNSSuffix), servers: listIn(told?.DNSServerList) },
      encapOverhead: told?.EncapOverhead ?? 0,
      addresses: (told?.IPConfigs ?? []).map((it) => ({ address: it.IPAddress, prefixLength: it.PrefixLength })),
      routes: (told?.Routes ?? []).map((it) => ({
        nextHop: it.NextHop,
        destination: it.DestinationPrefix,
        metric: it.Metric,
      })),
    };
  });
}

function listIn(text: string | undefined): readonly string[] {
  return text === undefined || text === '' ? [] : text.split(',');
}

export class NetworkAdapters {
  readonly #added: { readonly id: string; readonly endpoint: NetworkEndpoint }[] = [];

  async add(id: string, wanted: NetworkEndpoint, guest: AdapterGuest, target: ChangeTarget): Promise<void> {
    await applyChange(addAdapter(id, wanted, guest), target, () => undefined);
    this.#added.push({ id, endpoint: wanted });
  }

  async removeAll(guest: AdapterGuest, target: ChangeTarget): Promise<void> {
    for (const each of [...this.#added]) {
      await applyChange(removeAdapter(each.id, each.endpoint, guest), target, () => undefined);
      this.#added.splice(this.#added.indexOf(each), 1);
    }
  }
}
