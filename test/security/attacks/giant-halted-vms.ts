// A user creates halted VMs of 2^40 MB, and makes a running VM request as much. No other user may see a full host.
import { condition, isRunning, type Machine, type RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';

const name = 'giant-halted-vms';
const giant = { memory: { sizeInMB: 2 ** 40 } };
const hosts = ['win-2019-a', 'win-2022-a', 'win-2025-a'] as const;
const others = hosts.map((nodeName) => ({ name: `${name}-other-of-${nodeName}`, nodeName }));
const giants = ['one', 'two', 'three', 'four'].map((each) => `${name}-${each}`);
const grown = `${name}-grown`;
const patience = 10_000;

const isHalted = (machine: Machine) => condition(machine, 'Ready')?.reason === 'Halted';
const set = (target: RunningSystem, vm: string, spec: object) =>
  target.kubectl(['patch', 'luvm', vm, '--type=merge', '-p', JSON.stringify({ spec })]);

async function attack(target: RunningSystem): Promise<Finding> {
  try {
    await target.apply(grown, { memory: { sizeInMB: 256 } });
    await target.untilMachine(grown, 'runs', isRunning);
    const manifests = giants.map((each, index) => {
      const nodeName = hosts[index];
      return {
        apiVersion: 'lcow.dev/v1alpha1',
        kind: 'LinuxUtilityVM',
        metadata: { name: each },
        spec: { ...giant, runStrategy: 'Halted', ...(nodeName !== undefined && { nodeName }) },
      };
    });
    await target.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }));
    const halted = await Promise.all(giants.map((each) => target.untilMachine(each, 'is halted', isHalted)));
    const placed = halted.filter(({ status }) => status.nodeName !== undefined).length;
    if (placed > 0) return broken(`${placed} of ${halted.length} halted VMs got a host`);
    await set(target, grown, giant);
    await set(target, giants[0] ?? '', { runStrategy: 'Always' });
    const began = performance.now();
    await Promise.all(others.map(({ name: other, nodeName }) => target.apply(other, { ...small, nodeName })));
    await Promise.all(others.map(({ name: other }) => target.untilMachine(other, 'runs', isRunning, patience)));
    const took = Math.round(performance.now() - began);
    return held(
      `4 halted VMs of 2^40 MB, one that grew to it, and one that starts: ${others.length} others ran in ${took} ms`,
    );
  } finally {
    const all = [...giants, grown, ...others.map(({ name: other }) => other)];
    await target.kubectl(['delete', 'luvm', ...all, '--ignore-not-found', '--timeout=60s']);
  }
}

const small = { memory: { sizeInMB: 256 } };

export const giantHaltedVMs: Attack = {
  name,
  party: 'namespace editor',
  promise: 'VMs that do not run, or that are larger than every host, take no room from other VMs.',
  short: true,
  run: attack,
};
