// The Host Networking Service of a simulated node, as its agent calls it, and what a test can do to it.
import { expect, it } from 'vitest';
import { ServiceNetworks } from '../../../agent/network/host-networks.ts';
import { describeNetworks, testNetworks } from '../../support/agent/networks-contract.ts';
import { startNode } from '../../support/agent/simulated-node.ts';

describeNetworks('the HNS of a simulated node', async () => {
  const node = await startNode({ hns: { networks: [...testNetworks] } });
  const { networks } = await node.connect();
  return {
    service: networks,
    restart: () => node.control.restartHns(),
    reboot: () => node.control.rebootHns(),
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
});

it('fails as the script says, and hangs without holding up HCS', async () => {
  await using node = await startNode();
  const { backend, networks } = await node.connect();
  const host = new ServiceNetworks(networks);
  await node.control.script({ at: 'listNetworks', fail: { hresult: '0x800706ba' } });
  await expect(host.networks()).rejects.toMatchObject({ reason: 'HNSUnavailable', isRetryable: true });
  const rule = await node.control.script({ at: 'listNetworks', stall: true });
  const stalled = host.networks();
  expect(await backend.enumerate()).toEqual([]);
  await node.control.release(rule);
  expect(await stalled).toEqual([]);
});

it('is missing on a Windows without HNS', async () => {
  await using node = await startNode({ hns: { isInstalled: false } });
  const host = new ServiceNetworks((await node.connect()).networks);
  await expect(host.version()).rejects.toMatchObject({ reason: 'HNSUnsupported', isRetryable: false });
});

it('is not available once its service is gone', async () => {
  await using node = await startNode();
  const { networks } = await node.connect();
  await node.control.disconnectClients();
  await expect(networks.listNetworks()).rejects.toMatchObject({ reason: 'HNSUnavailable' });
});

it('has the networks that an administrator adds and removes', async () => {
  await using node = await startNode();
  const host = new ServiceNetworks((await node.connect()).networks);
  const [nat] = testNetworks;
  await node.control.addNetwork(nat);
  expect(await host.networks()).toEqual([nat.id]);
  await node.control.removeNetwork(nat.id);
  expect(await host.networks()).toEqual([]);
});
