// The contract of every Host Networking Service (agent/node/network-service.ts, docs/reference/hns.md), as one suite for
// all implementations, through the reading of the agent.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AccessRule } from '../../../agent/network/access-rules.ts';
import {
  type EndpointDocument,
  type EndpointWish,
  endpointDocument,
  endpointPolicies,
  policyChange,
} from '../../../agent/network/endpoint-document.ts';
import { type HostNetworks, ServiceNetworks } from '../../../agent/network/host-networks.ts';
import { HnsError } from '../../../agent/node/hns-error.ts';
import type { EndpointId, NetworkId, NetworkService } from '../../../agent/node/network-service.ts';
import type { SimulatedNetworkInput } from '../../../simulator/wire/network.ts';

/** The networks that a host under test has. */
export const testNetworks = [
  {
    id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01',
    name: 'nat',
    type: 'NAT',
    subnets: ['172.20.0.0/16'],
    isPersistent: false,
  },
  { id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a02', name: 'small', type: 'NAT', subnets: ['10.1.2.0/29'] },
  { id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a03', name: 'lan', type: 'Transparent', subnets: [] },
] as const satisfies readonly SimulatedNetworkInput[];
const [nat, small, lan] = testNetworks.map(({ id }) => id as NetworkId) as [NetworkId, NetworkId, NetworkId];
const unknownNetwork = '00000000-1111-2222-3333-444444444444' as NetworkId;

export interface NetworksUnderTest extends AsyncDisposable {
  readonly service: NetworkService;
  /** Starts HNS again. */
  restart(): Promise<void>;
  /** Leaves HNS as after a reboot of the host. */
  reboot(): Promise<void>;
}

async function failure(call: Promise<unknown>): Promise<HnsError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HnsError);
  return error instanceof HnsError ? error : new HnsError('none', 0);
}

const reasonOf = async (call: Promise<unknown>) => (await failure(call)).reason;

export function describeNetworks(name: string, make: () => Promise<NetworksUnderTest>): void {
  describe(`${name} keeps the contract of HNS`, () => {
    let tested: NetworksUnderTest;
    const host = () => new ServiceNetworks(tested.service);

    beforeEach(async () => {
      tested = await make();
    });
    afterEach(async () => {
      await tested[Symbol.asyncDispose]();
    });

    networks(host);
    endpoints(host);
    refusals(host);
    policies(host);
    restarts(host, () => tested);
  });
}

const uid = 'b7c9f3a2-5d0e-4c1b-8f6a-3e2d1c0b9a87';

/** An endpoint of the VM. */
function wished(name: string, wish: Partial<EndpointWish> = {}): EndpointDocument {
  return endpointDocument({ uid, name, network: nat, ...wish });
}

async function make(host: HostNetworks, name: string, wish: Partial<EndpointWish> = {}): Promise<EndpointId> {
  const document = wished(name, wish);
  await host.createEndpoint(wish.network ?? nat, document);
  return document.id;
}

function networks(host: () => HostNetworks): void {
  it('tells its version', async () => {
    const { major, minor } = await host().version();
    expect(major).toBeGreaterThanOrEqual(9);
    expect(minor).toBeGreaterThanOrEqual(0);
  });

  it('lists the networks of the host and tells what they are', async () => {
    const ids = await host().networks();
    expect([...ids].sort()).toEqual([nat, small, lan]);
    expect(await host().network(nat)).toEqual({ id: nat, name: 'nat', type: 'NAT', subnets: ['172.20.0.0/16'] });
    expect(await host().network(lan)).toMatchObject({ type: 'Transparent', subnets: [] });
  });

  it('knows no other network', async () => {
    expect(await reasonOf(host().network(unknownNetwork))).toBe('NetworkNotFound');
    expect(await reasonOf(make(host(), 'eth0', { network: unknownNetwork }))).toBe('NetworkNotFound');
  });
}

function endpoints(host: () => HostNetworks): void {
  it('makes an endpoint with the id and name that it is given, and allocates an address', async () => {
    const document = wished('eth0');
    const made = await host().createEndpoint(nat, document);
    expect(await host().endpoints()).toEqual([document.id]);
    const told = await host().endpoint(document.id);
    expect(made).toEqual(told);
    expect(told).toMatchObject({ name: document.name });
    expect([told.id, told.networkId].map((id) => id.toLowerCase())).toEqual([document.id, nat]);
    expect(told.addresses).toEqual([{ address: expect.stringMatching(/^172\.20\./), prefixLength: 16 }]);
    expect(told.macAddress).toMatch(/^[0-9A-F]{2}(-[0-9A-F]{2}){5}$/);
  });

  it('gives each endpoint an address of its own', async () => {
    const ids = [await make(host(), 'eth0'), await make(host(), 'eth1')];
    const told = await Promise.all(ids.map((id) => host().endpoint(id)));
    expect(new Set(told.flatMap(({ addresses }) => addresses.map(({ address }) => address))).size).toBe(2);
  });

  it('takes an address and a MAC address that are given', async () => {
    const id = await make(host(), 'eth0', { addresses: ['172.20.7.7/16'], macAddress: '00:15:5d:aa:bb:cc' });
    expect(await host().endpoint(id)).toMatchObject({
      addresses: [{ address: '172.20.7.7', prefixLength: 16 }],
      macAddress: '00-15-5D-AA-BB-CC',
    });
  });

  it('makes an endpoint without an address on a network without subnets', async () => {
    const id = await make(host(), 'eth0', { network: lan });
    expect((await host().endpoint(id)).addresses).toEqual([]);
  });

  it('deletes an endpoint, whose address is free again', async () => {
    const id = await make(host(), 'eth0', { addresses: ['172.20.7.7/16'] });
    await host().deleteEndpoint(id);
    expect(await host().endpoints()).toEqual([]);
    await make(host(), 'eth1', { addresses: ['172.20.7.7/16'] });
  });
}

function refusals(host: () => HostNetworks): void {
  it('refuses an address that is in use, or that is the gateway', async () => {
    await make(host(), 'eth0', { addresses: ['172.20.7.7/16'] });
    for (const address of ['172.20.7.7/16', '172.20.0.1/16']) {
      expect(await reasonOf(make(host(), 'eth1', { addresses: [address] }))).toBe('AddressInUse');
    }
  });

  it('refuses an address outside of the subnets', async () => {
    expect(await reasonOf(make(host(), 'eth0', { addresses: ['172.21.0.7/16'] }))).toBe('AddressOutsideSubnet');
  });

  it('has no address left once a subnet is full', async () => {
    for (let index = 0; index < 5; index += 1) await make(host(), `eth${index}`, { network: small });
    expect(await reasonOf(make(host(), 'eth5', { network: small }))).toBe('AddressInUse');
  });

  it('refuses a second endpoint of the same id, and leaves the first as it is', async () => {
    const id = await make(host(), 'eth0');
    const before = await host().endpoint(id);
    await failure(make(host(), 'eth0', { addresses: ['172.20.9.9/16'] }));
    expect(await host().endpoint(id)).toEqual(before);
  });

  it('refuses a text that is not a document', async () => {
    const { id, name } = wished('eth0');
    for (const text of ['', '{', '[]', '{"Nonsense":true}']) {
      await failure(host().createEndpoint(nat, { id, name, text }));
    }
    expect(await host().endpoints()).toEqual([]);
  });

  it('has nothing of an endpoint that does not exist', async () => {
    const { id } = wished('eth0');
    expect(await reasonOf(host().endpoint(id))).toBe('EndpointGone');
    expect(await reasonOf(host().deleteEndpoint(id))).toBe('EndpointGone');
    expect(await reasonOf(host().modifyEndpoint(id, policyChange('Add', [])))).toBe('EndpointGone');
  });
}

const web = { protocol: 'TCP', port: 80, hostPort: 8080 } as const;
const rule: AccessRule = { action: 'Block', direction: 'Out', remoteAddresses: ['10.0.0.0/8'], priority: 1000 };

function policies(host: () => HostNetworks): void {
  it('gives a port of the host to one endpoint only, as long as it exists', async () => {
    const id = await make(host(), 'eth0', { ports: [web] });
    expect(await reasonOf(make(host(), 'eth1', { ports: [web] }))).toBe('HostPortTaken');
    await make(host(), 'eth2', { ports: [{ ...web, protocol: 'UDP' }] });
    await host().deleteEndpoint(id);
    await make(host(), 'eth1', { ports: [web] });
  });

  it('changes the policies of an endpoint', async () => {
    const id = await make(host(), 'eth0');
    const withPort = endpointPolicies({ ports: [web], accessRules: [rule], egressBytesPerSecond: 1_000_000 });
    await host().modifyEndpoint(id, policyChange('Update', withPort));
    expect(await reasonOf(make(host(), 'eth1', { ports: [web] }))).toBe('HostPortTaken');
    await host().modifyEndpoint(id, policyChange('Update', endpointPolicies({})));
    await make(host(), 'eth1', { ports: [web] });
  });

  it('refuses policies that it does not know, or that the network does not support', async () => {
    const { id, name, text } = wished('eth0');
    const nonsense = JSON.stringify({ ...JSON.parse(text), Policies: [{ Type: 'Nonsense', Settings: {} }] });
    expect(await reasonOf(host().createEndpoint(nat, { id, name, text: nonsense }))).toBe('PolicyRejected');
    expect(await reasonOf(make(host(), 'eth0', { network: lan, ports: [web] }))).toBe('PolicyRejected');
    expect(await host().endpoints()).toEqual([]);
  });
}

function restarts(host: () => HostNetworks, tested: () => NetworksUnderTest): void {
  it('loses its endpoints, and networks that are not persistent, when it starts again', async () => {
    const ids = [await make(host(), 'eth0'), await make(host(), 'eth1', { network: small })];
    await tested().restart();
    expect(await host().endpoints()).toEqual([]);
    expect([...(await host().networks())].sort()).toEqual([small, lan]);
    for (const id of ids) expect(await reasonOf(host().endpoint(id))).toBe('EndpointGone');
    await make(host(), 'eth1', { network: small });
  });

  it('keeps the addresses of persistent networks in use over a reboot', async () => {
    await make(host(), 'eth0', { network: small, addresses: ['10.1.2.3/29'] });
    await tested().reboot();
    expect([...(await host().networks())].sort()).toEqual([small, lan]);
    const again = make(host(), 'eth1', { network: small, addresses: ['10.1.2.3/29'] });
    expect(await reasonOf(again)).toBe('AddressInUse');
  });
}
