// VMs of a set and their set, as the planner judges them, for tests of what users are shown.
import { type LinuxUtilityVMStatus, revisionLabel } from '../../../crds/linux-utility-vm.ts';
import { judgeReplica } from '../../../operator/controller/sets/replica.ts';
import type { SetView } from '../../../operator/controller/sets/set-status.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { plan } from '../../../sets/plan.ts';
import { makeMachine } from './objects.ts';
import { usual } from './planned-world.ts';

export const now = Date.parse('2026-01-01T12:00:00Z');
export const condition = (
  type: string,
  status: 'True' | 'False' | 'Unknown',
  reason: string,
  lastTransitionTime: string,
) => ({
  ...{ type, status, reason, lastTransitionTime },
  message: '',
});
export const ready = condition('Ready', 'True', 'Running', '2026-01-01T11:00:00Z');
export const upAtA: LinuxUtilityVMStatus = { observedGeneration: 1, readyRevision: 'a', conditions: [ready] };
export const downAtA: LinuxUtilityVMStatus = {
  ...upAtA,
  conditions: [condition('Ready', 'False', 'BootTimeout', '2026-01-01T11:00:00Z')],
};
export const labels = { [revisionLabel]: 'a' };

export function judged(
  status: LinuxUtilityVMStatus,
  metadata: Partial<VirtualMachine['metadata']> = {},
  more: object = {},
) {
  return judgeReplica({
    object: makeMachine({ status, metadata: { name: 'x-0', labels, ...metadata } }),
    ...{ ordinal: 0, isDeleted: false, isToLeave: false, minReadySeconds: 0, replacement: undefined, now },
    ...{ step: undefined, lacksLivePart: false },
    ...more,
  });
}

export function view(statuses: readonly (LinuxUtilityVMStatus | undefined)[], changes: Partial<SetView> = {}): SetView {
  const replicas = statuses.flatMap((status, ordinal) =>
    status === undefined ? [] : [judged(status, { name: `x-${ordinal}` }, { ordinal })],
  );
  const wanted = statuses.map((_, ordinal) => ordinal);
  const revisions = { currentRevision: 'a', updateRevision: 'a' };
  return {
    replicas,
    wanted,
    taken: new Set(),
    plan: plan({ ...usual, wanted, replicas, taken: new Set(), ...revisions }),
    ...{ maxUnavailable: 1, ...revisions, collisionCount: 0, changed: [], paused: false },
    progressDeadlineSeconds: 600,
    ...changes,
  };
}
