// A set, its VMs and its revisions, as the API server answers with them.
import type { LinuxUtilityVMSetStatus } from '../../../crds/linux-utility-vm-set.ts';
import type { Condition } from '../../../crds/object.ts';

export const setPath = '/apis/lcow.dev/v1alpha1/namespaces/ns/linuxutilityvmsets/web';
export const machinesPath = '/apis/lcow.dev/v1alpha1/namespaces/ns/linuxutilityvms';
export const revisionsPath = '/apis/apps/v1/namespaces/ns/controllerrevisions';

const lastTransitionTime = '2026-01-01T11:00:00Z';
export const condition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message = 'because',
): Condition => ({ type, status, reason, message, lastTransitionTime });

const ownerReferences = [
  { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVMSet', name: 'web', uid: 'set-uid', controller: true },
];

export interface SetChanges {
  readonly metadata?: object;
  readonly spec?: object;
  readonly status?: LinuxUtilityVMSetStatus;
}

/** Three VMs, of which none is rolled out. */
export function rolledSet({ metadata, spec, status }: SetChanges = {}) {
  return {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVMSet',
    metadata: { name: 'web', namespace: 'ns', uid: 'set-uid', resourceVersion: '7', generation: 2, ...metadata },
    spec: {
      replicas: 3,
      update: { type: 'RollingUpdate', method: 'LiveOrRestart' },
      template: { spec: { memory: { sizeInMB: 2048 } } },
      ...spec,
    },
    status: {
      observedGeneration: 2,
      ...{ replicas: 3, updatedReplicas: 0, updatedAvailableReplicas: 0, updateRevision: 'web-new' },
      conditions: [condition('Ready', 'False', 'Progressing'), condition('Reconciling', 'True', 'Progressing')],
      rollout: { method: 'Restart' as const, target: 3, done: 0, waitingFor: 'web-2 is not available' },
      ...status,
    },
  };
}

/** As many VMs as this have the new revision and are available. */
export function withDone(done: number, waitingFor?: string) {
  const counts = { updatedReplicas: done, updatedAvailableReplicas: done };
  const conditions = [condition('Ready', done === 3 ? 'True' : 'False', done === 3 ? 'Complete' : 'Progressing')];
  const rollout = { method: 'Restart' as const, target: 3, done, ...(waitingFor !== undefined && { waitingFor }) };
  return rolledSet({ status: { ...counts, conditions, rollout } });
}

export function member(name: string, revision: string, conditions: readonly Condition[], metadata: object = {}) {
  const labels = { 'lcow.dev/set': 'web', 'lcow.dev/revision': revision };
  return {
    metadata: { name, namespace: 'ns', uid: name, generation: 1, labels, ownerReferences, ...metadata },
    status: { observedGeneration: 1, conditions },
  };
}

export function revision(name: string, number: number, template: object, annotations: object = {}) {
  const creationTimestamp = `2026-01-01T11:0${number}:00Z`;
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: { name, namespace: 'ns', uid: name, creationTimestamp, ownerReferences, annotations },
    revision: number,
    data: { template },
  };
}

export const listOf = (items: readonly object[]) => ({ body: { kind: 'List', metadata: {}, items } });

/** What could control the terminal of a reader. */
export const steering = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;
