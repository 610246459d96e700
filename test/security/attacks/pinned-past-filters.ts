// A user names hosts in spec.nodeName that accept no VMs: cordoned, tainted, unschedulable, full, without SNP.
import type { RunningSystem } from '../../support/system/running-system.ts';
import { condition, isRunning, type Machine } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';

const name = 'pinned-past-filters';
const [cordoned, tainted, full] = ['win-2019-a', 'win-2022-a', 'win-2025-a'] as const;
const taint = `lcow.dev/${name}=yes:NoSchedule`;

const attempts: readonly { readonly nodeName: string; readonly spec: object }[] = [
  { nodeName: cordoned, spec: {} },
  { nodeName: tainted, spec: {} },
  { nodeName: tainted, spec: { tolerations: [{ key: 'other', operator: 'Exists' }] } },
  { nodeName: full, spec: {} },
  { nodeName: full, spec: { runStrategy: 'Once', terminateOnAgentExit: false } },
  { nodeName: full, spec: { memory: { sizeInMB: 2 ** 40 } } },
  { nodeName: full, spec: { nodeSelector: { rack: 'none' } } },
  { nodeName: full, spec: { confidential: { securityPolicy: 'eA==' } } },
];
const names = attempts.map((_, index) => `${name}-${index}`);

async function close(target: RunningSystem): Promise<void> {
  await target.kubectl(['cordon', cordoned]);
  await target.kubectl(['taint', 'node', tainted, taint]);
  await target.kubectl(['patch', 'luvmhost', full, '--type=merge', '-p', '{"spec":{"maxVirtualMachines":0}}']);
}

async function open(target: RunningSystem): Promise<void> {
  await target.kubectl(['uncordon', cordoned]);
  await target.kubectl(['taint', 'node', tainted, `${taint}-`]);
  await target.kubectl(['patch', 'luvmhost', full, '--type=merge', '-p', '{"spec":{"maxVirtualMachines":null}}']);
}

const reasonOf = (machine: Machine) => condition(machine, 'Ready')?.reason;
const isRefused = (machine: Machine) => ['NoRoom', 'NoHostFits'].includes(reasonOf(machine) ?? '');

async function attack(target: RunningSystem): Promise<Finding> {
  await close(target);
  let isClosed = true;
  try {
    const items = attempts.map(({ nodeName, spec }, index) => ({
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name: names[index] },
      spec: { memory: { sizeInMB: 256 }, ...spec, nodeName },
    }));
    await target.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const machines = await Promise.all(names.map((each) => target.untilMachine(each, 'is refused', isRefused)));
    const placed = machines.filter(({ status }) => status.nodeName !== undefined);
    if (placed.length > 0) return broken(`${placed.length} of ${machines.length} pinned VMs got a host`);
    await open(target);
    isClosed = false;
    // The permitted use: the named host gets its VM once it accepts VMs.
    await Promise.all(names.slice(0, 4).map((each) => target.untilMachine(each, 'runs', isRunning)));
    return held(`${machines.length} pinned VMs: ${machines.map(reasonOf).join(', ')}; then 4 ran`);
  } finally {
    await target.kubectl(['delete', 'luvm', ...names, '--ignore-not-found', '--timeout=60s']);
    if (isClosed) await open(target);
  }
}

export const pinnedPastFilters: Attack = {
  name,
  party: 'namespace editor',
  promise: 'spec.nodeName narrows the choice to one host and skips no filter.',
  short: true,
  run: attack,
};
