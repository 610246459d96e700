import { expect, it } from 'vitest';
import type { Host, Machine } from '../../../simulator/playground/cluster-view.ts';
import { renderTables } from '../../../simulator/playground/table.ts';

const creationTimestamp = '2026-01-01T00:00:00Z';
const now = Date.parse(creationTimestamp) + 5_000;

function machine(name: string, status: Machine['status']): Machine {
  return { kind: 'LinuxUtilityVM', metadata: { name, namespace: 'default', uid: name, creationTimestamp }, status };
}

function host(name: string): Host {
  const conditions = [{ type: 'Connected', status: 'True', reason: 'Connected' }];
  return {
    kind: 'LinuxUtilityVMHost',
    metadata: { name, uid: name, creationTimestamp },
    status: { osBuild: 20348, conditions },
  };
}

it('the table of hosts counts the VMs in the same output, not those in the status, which is updated some seconds later', () => {
  const machines = [
    ...['a', 'b', 'c', 'd'].map((name) => machine(name, { phase: 'Running', nodeName: 'win-1' })),
    machine('halted', { phase: 'Stopped', nodeName: 'win-1' }),
    machine('elsewhere', { phase: 'Running', nodeName: 'win-2' }),
    machine('pending', { phase: 'Pending' }),
  ];
  const hosts = [host('win-1'), host('win-2'), host('win-3')];
  const text = renderTables({ machines, hosts, latestLine: () => undefined }, now, 200);
  const rows = text.split('\n').filter((line) => line.startsWith('win-'));
  expect(rows.map((row) => row.match(/\d+\/\d+/)?.[0])).toEqual(['4/5', '1/1', '0/0']);
});
