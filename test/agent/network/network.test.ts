import { describe, expect, it } from 'vitest';
import { type HostNetworks, ServiceNetworks } from '../../../agent/network/host-networks.ts';
import { endpointId, networkId, readIds, readNetwork } from '../../../agent/network/network.ts';
import type { NetworkId } from '../../../agent/node/network-service.ts';
import { noNetworks } from '../../support/agent/no-networks.ts';

const id = '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01';

describe('the properties of a network', () => {
  it('tell its name, its kind and its subnets', () => {
    const told = {
      ID: id.toUpperCase(),
      Name: 'nat',
      Type: 'NAT',
      Ipams: [
        { Type: 'Static', Subnets: [{ IpAddressPrefix: '172.20.0.0/16', Routes: [] }] },
        { Subnets: [{ IpAddressPrefix: 'fd00::/64' }, { IpAddressPrefix: '' }] },
      ],
      Health: { Extra: 1 },
    };
    const network = { id, name: 'nat', type: 'NAT', subnets: ['172.20.0.0/16', 'fd00::/64'] };
    expect(readNetwork(JSON.stringify(told))).toEqual(network);
  });

  it('may lack everything but the id', () => {
    expect(readNetwork(`{"ID":"${id}","Ipams":null}`)).toEqual({ id, name: '', type: '', subnets: [] });
  });

  it('are unreadable without an id, or with other kinds of members', () => {
    for (const text of ['', '{', '{}', '[]', '{"ID":"x"}', `{"ID":"${id}","Ipams":7}`, `{"ID":"${id}","Name":{}}`])
      expect(() => readNetwork(text), text).toThrow('cannot be read');
  });
});

describe('a list of ids', () => {
  it('may be empty in several ways', () => {
    expect(['', ' ', 'null', '[]'].map((text) => readIds(networkId, text))).toEqual([[], [], [], []]);
    expect(readIds(endpointId, `["${id.toUpperCase()}"]`)).toEqual([id]);
  });

  it('has nothing but ids', () => {
    for (const text of ['{', '7', '[7]', '["x"]', '{"a":1}']) {
      expect(() => readIds(networkId, text), text).toThrow('a list of the service cannot be read');
    }
  });
});

it('an answer that cannot be read is a failure of HNS, not of a network', async () => {
  const broken = async () => '{';
  const answers = { listNetworks: broken, readNetwork: broken, listEndpoints: broken, readEndpoint: broken };
  const networks: HostNetworks = new ServiceNetworks({ ...noNetworks, ...answers });
  const failure = { reason: 'HNSFailed', hresult: 0x8000_ffff };
  await expect(networks.networks()).rejects.toMatchObject({ ...failure, operation: 'HcnEnumerateNetworks' });
  await expect(networks.network(id as NetworkId)).rejects.toMatchObject(failure);
  await expect(networks.endpoints()).rejects.toMatchObject({ ...failure, operation: 'HcnEnumerateEndpoints' });
  await expect(networks.endpoint(endpointId.parse(id))).rejects.toMatchObject(failure);
});
