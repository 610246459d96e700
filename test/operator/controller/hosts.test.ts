// Whether a replica may write about the VMs of a host.
import { expect, it } from 'vitest';
import { Hosts } from '../../../operator/controller/hosts.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Restoration } from '../../../operator/controller/knowledge/restoration.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { NodeWrites } from '../../../operator/controller/status/node-writes.ts';
import { clientsOver } from '../../../operator/kubernetes/caches.ts';
import { type Host, parseHost } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

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
