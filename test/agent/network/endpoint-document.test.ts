import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accessPolicies } from '../../../agent/network/access-rules.ts';
import {
  type EndpointWish,
  endpointDocument,
  endpointPolicies,
  identityOf,
  ownerOf,
  policyChange,
} from '../../../agent/network/endpoint-document.ts';
import { uuidOfName } from '../../../agent/network/uuid.ts';
import type { NetworkId } from '../../../agent/node/network-service.ts';

const uid = 'b7c9f3a2-5d0e-4c1b-8f6a-3e2d1c0b9a87';
const network = '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01' as NetworkId;
const documentOf = (wish: Partial<EndpointWish> = {}) =>
  JSON.parse(endpointDocument({ uid, name: 'eth0', network, ...wish }).text);

describe('the id of an endpoint', () => {
  it('is the UUID of version 5 of its name in the namespace of the uid', () => {
    // The example of RFC 9562, A.4: www.example.com in the namespace of domain names.
    const domains = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
    expect(uuidOfName(domains, 'www.example.com')).toBe('2ed6657d-e927-568b-95e1-2665a8aea6a2');
    expect(identityOf({ uid, name: 'eth0' })).toEqual({ id: uuidOfName(uid, 'eth0'), name: `luvm-${uid}-eth0` });
  });

  it('differs by VM and by adapter, and proves whose endpoint it is', () => {
    const names = fc.stringMatching(/^[a-z][-a-z0-9]{0,14}$/);
    fc.assert(
      fc.property(fc.uuid(), names, fc.uuid(), names, (oneUid, one, otherUid, other) => {
        const identity = identityOf({ uid: oneUid, name: one });
        expect(ownerOf(identity)).toEqual({ uid: oneUid, name: one });
        expect(ownerOf({ ...identity, id: identity.id.toUpperCase() })).toEqual({ uid: oneUid, name: one });
        if (oneUid === otherUid && one === other) return;
        const another = identityOf({ uid: otherUid, name: other });
        expect(another.id).not.toBe(identity.id);
        // Whoever gives an endpoint our name has not our id.
        expect(ownerOf({ id: another.id, name: identity.name })).toBeUndefined();
      }),
    );
  });

  it('is not found in endpoints of others', () => {
    for (const name of ['', 'eth0', `luvm-${uid}`, `luvm-${uid}-`, `luvm-x-eth0`, `${uid}_Default Switch`])
      expect(ownerOf({ id: uid, name })).toBeUndefined();
  });
});

describe('the document of an endpoint', () => {
  it('leaves to HNS what is not wished', () => {
    expect(documentOf()).toEqual({
      SchemaVersion: { Major: 2, Minor: 0 },
      HostComputeNetwork: network,
      ID: uuidOfName(uid, 'eth0'),
      Name: `luvm-${uid}-eth0`,
      Policies: accessPolicies([]),
    });
  });

  it('has everything that is wished', () => {
    const document = documentOf({
      addresses: ['192.168.128.4/20', 'fd00::4/64'],
      macAddress: '00:15:5d:52:c0:10',
      routes: [
        { destination: '0.0.0.0/0', nextHop: '192.168.128.1' },
        { destination: '10.0.0.0/8', nextHop: '192.168.128.2', metric: 5 },
      ],
      dns: { servers: ['10.0.0.10'], search: ['example.com'], domain: 'example.org' },
      ports: [{ protocol: 'UDP', port: 53, hostPort: 30_053 }],
      egressBytesPerSecond: 12_500_000,
    });
    expect(document).toMatchObject({
      MacAddress: '00-15-5D-52-C0-10',
      IpConfigurations: [
        { IpAddress: '192.168.128.4', PrefixLength: 20 },
        { IpAddress: 'fd00::4', PrefixLength: 64 },
      ],
      Routes: [
        { NextHop: '192.168.128.1', DestinationPrefix: '0.0.0.0/0' },
        { NextHop: '192.168.128.2', DestinationPrefix: '10.0.0.0/8', Metric: 5 },
      ],
      Dns: { ServerList: ['10.0.0.10'], Search: ['example.com'], Domain: 'example.org' },
    });
    expect(document.Policies).toContainEqual({
      Type: 'PortMapping',
      Settings: { Protocol: 17, InternalPort: 53, ExternalPort: 30_053 },
    });
    expect(document.Policies).toContainEqual({
      Type: 'QOS',
      Settings: { MaximumOutgoingBandwidthInBytes: 12_500_000 },
    });
  });

  it('is followed by changes of its policies', () => {
    expect(JSON.parse(policyChange('Update', endpointPolicies({ egressBytesPerSecond: 7 })))).toEqual({
      ResourceType: 'Policy',
      RequestType: 'Update',
      Settings: { Policies: endpointPolicies({ egressBytesPerSecond: 7 }) },
    });
  });
});

describe('the access rules of an endpoint', () => {
  const settings = (rules: Parameters<typeof accessPolicies>[0]) => accessPolicies(rules).map((each) => each.Settings);
  /** What decides about a packet: the rule with the lowest number that matches. */
  function decided(rules: Parameters<typeof accessPolicies>[0], protocol: 6 | 17, subnet: string, port: number) {
    const matching = settings(rules).filter((rule) => {
      const has = (value: unknown, wanted: string) => value === undefined || String(value).split(',').includes(wanted);
      const isOut = rule['Direction'] === 'Out' && has(rule['Protocols'], String(protocol));
      return isOut && has(rule['RemoteAddresses'], subnet) && has(rule['RemotePorts'], String(port));
    });
    return matching.sort((a, b) => Number(a['Priority']) - Number(b['Priority']))[0]?.['Action'];
  }
  const allowAll = [{ action: 'Allow', direction: 'Out', priority: 1000 }] as const;

  it('keep the credentials of the host from a guest, whatever a user allows', () => {
    for (const rules of [[], allowAll]) {
      for (const subnet of ['169.254.0.0/16', 'fd00:ec2::/32']) {
        expect(decided(rules, 6, subnet, 80)).toBe('Block');
        expect(decided(rules, 17, subnet, 123)).toBe('Block');
        expect([decided(rules, 6, subnet, 53), decided(rules, 17, subnet, 53)]).toEqual(['Allow', 'Allow']);
      }
      expect([80, 32_526, 53].map((port) => decided(rules, 6, '168.63.129.16', port))).toEqual([
        'Block',
        'Block',
        'Allow',
      ]);
    }
  });

  it('follow the user in the order of their priorities, and allow what no rule decides', () => {
    const rules = [
      { action: 'Block', direction: 'Out', remoteAddresses: ['10.0.0.0/8'], priority: 2000 },
      {
        action: 'Allow',
        direction: 'Out',
        protocol: 'TCP',
        remoteAddresses: ['10.0.0.0/8'],
        remotePorts: [443],
        priority: 1500,
      },
    ] as const;
    expect(decided(rules, 6, '10.0.0.0/8', 443)).toBe('Allow');
    expect(decided(rules, 17, '10.0.0.0/8', 443)).toBe('Block');
    expect(decided(rules, 6, '192.0.2.0/24', 443)).toBe('Allow');
  });

  it('are enforced by the switch, and end with a decision in each direction that has rules', () => {
    const inward = { action: 'Block', direction: 'In', localPorts: [22, 23], priority: 60_000 } as const;
    const all = settings([inward]);
    expect(new Set(all.map((rule) => rule['RuleType']))).toEqual(new Set(['Switch']));
    expect(all).toContainEqual(expect.objectContaining({ Direction: 'In', LocalPorts: '22,23', Action: 'Block' }));
    const last = all.slice(-2).map((rule) => [rule['Direction'], rule['Action'], rule['Priority']]);
    expect(last).toEqual([
      ['Out', 'Allow', 65_000],
      ['In', 'Allow', 65_000],
    ]);
  });
});
