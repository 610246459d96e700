// A namespace editor creates VMs that fit nowhere, as many as quotas allow, in order to delay other users.

import { PendingCrowd, promisedPlacementMilliseconds } from '../../support/system/pending-crowd-bed.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';

const taint = { key: 'example.com/crowd', effect: 'NoSchedule' };

async function attackWith(target: RunningSystem, count: number): Promise<Finding> {
  await using crowd = await PendingCrowd.open(target.controlPlane.kubeconfigPath);
  const nodeName = target.system.nodes[0]?.name ?? '';
  const created = await crowd.worstPlacement(crowd.create(count));
  await crowd.taint(nodeName, [taint]);
  const tainted = await crowd.placement();
  await crowd.taint(nodeName, []);
  const untainted = await crowd.placement();
  const worst = Math.max(created, tainted, untainted);
  const shown = [created, tainted, untainted].map((each) => `${each.toFixed(0)} ms`);
  const figure = `beside ${count} pending VMs another namespace's is placed within ${shown[0]} while they are created, ${shown[1]} and ${shown[2]} at changes of a taint`;
  return worst <= promisedPlacementMilliseconds ? held(figure) : broken(figure);
}

const promise = 'A VM of another namespace is placed within 2 s beside a crowd of pending VMs';

export const pendingCrowd: Attack = {
  name: 'pending-crowd',
  party: 'namespace editor',
  promise,
  // The verdict depends on time, which is not reliable on a busy machine.
  short: false,
  run: (target) => attackWith(target, 300),
};

export const largePendingCrowd: Attack = {
  name: 'pending-crowd-7500',
  party: 'namespace editor',
  promise: `${promise} (7,500).`,
  short: false,
  run: (target) => attackWith(target, 7_500),
};
