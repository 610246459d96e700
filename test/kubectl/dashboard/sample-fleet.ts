// A small fleet in which something is wrong.
import type { Fleet } from '../../../kubectl/dashboard/fleet.ts';
import type { MachineRow } from '../../../kubectl/dashboard/rows.ts';

export const now = Date.parse('2026-11-30T12:00:00Z');
const created = '2026-11-30T09:00:00Z';

const machine = (name: string, changes: Partial<MachineRow> = {}): MachineRow => ({
  namespace: 'default',
  name,
  phase: 'Running',
  health: 'Good',
  node: 'win-1',
  restarts: 0,
  created,
  why: 'Running: the VM is up',
  ...changes,
});

const refusal = 'InsufficientResources: the host has not enough memory for a VM of 4096 MB, of which 1024 MB are left';

export const sampleFleet: Fleet = {
  machines: [
    machine('web-10'),
    machine('web-2', { restarts: 3 }),
    machine('batch', { phase: 'Stopped', health: 'Resting', why: 'Completed' }),
    machine('db', { phase: 'Failed', health: 'Wrong', node: 'win-2', why: refusal }),
    machine('new', { phase: 'Pending', health: 'Moving', node: undefined, why: 'NoHostFits: 0/2 hosts fit' }),
    machine('lost', { phase: 'Unknown', health: 'Unknown', node: 'win-2', why: 'AgentDisconnected' }),
  ],
  hosts: [
    { name: 'win-1', health: 'Good', build: 20_348, memoryInMB: 262_144, processors: 64, why: 'Connected' },
    {
      name: 'win-2',
      health: 'Wrong',
      build: 26_100,
      memoryInMB: 131_072,
      processors: 32,
      why: 'SessionLost: since 11:58',
    },
  ],
  sets: [
    {
      ...{ namespace: 'default', name: 'web', health: 'Moving', created },
      ...{
        desired: 4,
        ready: 3,
        updated: 2,
        available: 3,
        why: '2 of 4 VMs are rolled out (Restart): waits for web-3',
      },
    },
  ],
  knowledge: { VMs: { kind: 'Current' }, hosts: { kind: 'Current' }, sets: { kind: 'Current' } },
};

export const emptyFleet: Fleet = {
  machines: [],
  hosts: [],
  sets: [],
  knowledge: {
    VMs: { kind: 'Loading' },
    hosts: { kind: 'Stale', why: 'hosts is forbidden' },
    sets: { kind: 'Current' },
  },
};
