// Whether a replica may write about the VMs of a host, and when it writes what an agent tells about its networks.
import { expect, it } from 'vitest';
import { z } from 'zod';
import { Hosts } from '../../../operator/controller/hosts.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Restoration } from '../../../operator/controller/knowledge/restoration.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { NodeWrites } from '../../../operator/controller/status/node-writes.ts';
import { clientsOver } from '../../../operator/kubernetes/caches.ts';
import { type Host, parseHost } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { someHost } from '../../support/operator/scripted-agent.ts';

it('a host is written about until another replica takes a newer epoch, and again once its record is gone', () => {
  const clock = new ManualClock();
  const cache = new Map<string, Host>();
  const clients = clientsOver({ request: () => Promise.reject(new Error('not to be asked')) });
  const hosts = new Hosts({
    drainOf: () => undefined,
    client: clients.hosts,
    nodes: clients.nodes,
    cache,
    inventory: new Inventory(clock),
    machines: new VirtualMachines(),
    writes: new NodeWrites(clock, () => 0),
    restoration: new Restoration(clock),
    uninstallation: { isUnderWay: false },
    clock,
    replica: 'ours',
    onSuperseded: () => undefined,
  });
  expect(hosts.mayWriteFor('win-1')).toBe(true);
  const record = parseHost({
    metadata: { name: 'win-1', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
    status: { session: { replica: 'theirs', epoch: 3 } },
  });
  if (record === undefined) throw new Error('the record is not readable');
  cache.set('win-1', record);
  hosts.observe(record);
  expect(hosts.mayWriteFor('win-1')).toBe(false);
  // Its Node was removed, so no session of anybody will take the host back.
  cache.delete('win-1');
  expect(hosts.mayWriteFor('win-1')).toBe(true);
});

it('the networks of a host are written when they change, at most once a minute', async () => {
  const clock = new ManualClock();
  const cache = new Map<string, Host>();
  const writes: unknown[] = [];
  let stored: unknown = {
    metadata: {
      name: 'win-1',
      uid: '1',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec: {},
    status: { observedGeneration: 0 },
  };
  const clients = clientsOver({
    request: async ({ body, method }) => {
      if (method === 'PUT') {
        stored = body;
        const { status } = z
          .object({ status: z.object({ networks: z.array(z.object({ name: z.string() })).optional() }) })
          .parse(body);
        writes.push(status.networks?.map(({ name }) => name));
      }
      return { ok: true, value: stored };
    },
  });
  const inventory = new Inventory(clock);
  const hosts = new Hosts({
    drainOf: () => undefined,
    client: clients.hosts,
    nodes: clients.nodes,
    cache,
    inventory,
    machines: new VirtualMachines(),
    writes: new NodeWrites(clock, () => 0),
    restoration: new Restoration(clock),
    uninstallation: { isUnderWay: false },
    clock,
    replica: 'ours',
    onSuperseded: () => undefined,
  });
  const reconcile = async () => {
    const host = parseHost(stored);
    if (host !== undefined) cache.set('win-1', host);
    return await hosts.reconcile('win-1');
  };
  const nat = { name: 'nat', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01', type: 'NAT', subnets: [] };
  hosts.tellNetworks('win-1', { networks: [nat] }); // before any session: nobody to tell it
  await hosts.accept('win-1', { agentVersion: '1', facts: someHost, nodeUID: undefined });
  inventory.begin('win-1', [], true);
  await reconcile();
  expect(new Set(writes)).toEqual(new Set([undefined]));
  hosts.tellNetworks('win-1', { networks: [nat] });
  expect(await reconcile()).toEqual({ kind: 'After', milliseconds: 60_000 });
  hosts.tellNetworks('win-1', { networks: [nat, { ...nat, name: 'lan', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a02' }] });
  await clock.advance(60_000);
  await reconcile();
  expect(writes.at(-1)).toEqual(['nat', 'lan']);
  const count = writes.length;
  hosts.tellNetworks('win-1', { networks: [nat, { ...nat, name: 'lan', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a02' }] });
  await clock.advance(60_000);
  await reconcile();
  expect(writes).toHaveLength(count);
});
