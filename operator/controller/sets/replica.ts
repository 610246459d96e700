// One VM of a set as its plan sees it, together with the object of the VM.

import type { Replica } from '../../../sets/plan.ts';
import { type Judged, judge, type ReplicaFacts } from '../../../sets/replica.ts';
import { essentialsOf, type VirtualMachine } from '../../kubernetes/objects.ts';
import { isRestartRequested } from '../knowledge/annotations.ts';

export interface JudgedReplica extends Judged {
  readonly object: VirtualMachine;
}

export function judgeReplica({
  object,
  ...facts
}: Omit<ReplicaFacts, 'metadata' | 'runStrategy' | 'status' | 'isRestartRequested'> & {
  readonly object: VirtualMachine;
}): JudgedReplica {
  const { metadata, spec, status } = object;
  const { runStrategy } = essentialsOf(spec);
  const asked = isRestartRequested(metadata, status);
  return { object, ...judge({ ...facts, metadata, status, runStrategy, isRestartRequested: asked }) };
}

/** It has the update revision in all parts. */
export function isUpdated({ step, isChanging, isRestarting, restartRequired, isDeleting }: Replica): boolean {
  return step === undefined && !isChanging && !isRestarting && !restartRequired && !isDeleting;
}
