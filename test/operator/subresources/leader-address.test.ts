// The address at which replicas find the leader's API, in clusters of either IP family and of both.
import type { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { succeeded } from '../../../operator/kubernetes/api-error.ts';
import {
  advertisedAddress,
  apiAddressAnnotation,
  LeaderAddress,
} from '../../../operator/subresources/leader-address.ts';

type Interface = NonNullable<ReturnType<typeof networkInterfaces>[string]>[number];

const v4 = (address: string, internal = false): Interface => ({
  ...{ address, internal, family: 'IPv4', netmask: '255.255.255.0', mac: '00:00:00:00:00:00', cidr: null },
});
const v6 = (address: string, internal = false): Interface => ({
  ...{ address, internal, family: 'IPv6', netmask: 'ffff::', mac: '00:00:00:00:00:00', cidr: null, scopeid: 0 },
});
const loopback = [v4('127.0.0.1', true), v6('::1', true)];
const only4 = { lo: loopback, eth0: [v4('10.1.2.3'), v6('fe80::1')] };
const only6 = { lo: loopback, eth0: [v6('fe80::1'), v6('fd00::5')] };
const both = { lo: loopback, eth0: [v4('10.1.2.3'), v6('fe80::1'), v6('fd00::5')] };

describe('the address of a replica', () => {
  it.each([
    [undefined, only4, '10.1.2.3:8444'],
    [undefined, only6, '[fd00::5]:8444'],
    [undefined, both, '10.1.2.3:8444'],
    ['::', both, '[fd00::5]:8444'],
    ['0.0.0.0', both, '10.1.2.3:8444'],
    ['fd00::9', both, '[fd00::9]:8444'],
    ['127.0.0.1', both, '127.0.0.1:8444'],
  ])('that listens on %s is one that others reach', async (bindAddress, interfaces, expected) => {
    const text = advertisedAddress(bindAddress, 8444, interfaces);
    expect(text).toBe(expected);
    const lease = {
      get: async () => {
        const metadata = { name: 'lcow-operator', resourceVersion: '1', annotations: { [apiAddressAnnotation]: text } };
        const times = { durationMilliseconds: 15_000, acquireTime: undefined, transitions: 0, writtenAt: undefined };
        return succeeded({ metadata, holder: 'another', ...times });
      },
    };
    const host = expected.slice(0, -':8444'.length).replaceAll(/[[\]]/g, '');
    expect(await new LeaderAddress(lease, 'this').find()).toEqual({ host, port: 8444 });
  });
});
