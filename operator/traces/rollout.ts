// The rollout of a set as a span.
import type { MachineSet } from '../kubernetes/objects.ts';
import type { Span } from './span.ts';

/** From a change of the template to every VM having it. Milliseconds since the Unix epoch. */
export interface Rollout {
  readonly began: number;
  readonly ended: number;
}

export function rolloutSpan({ metadata, status }: MachineSet, { began, ended }: Rollout): Span {
  const attributes = {
    'k8s.namespace.name': metadata.namespace ?? '',
    'lcow.set.name': metadata.name,
    'lcow.set.uid': metadata.uid,
    'lcow.set.revision': status.updateRevision ?? '',
    'lcow.set.replicas': status.replicas ?? 0,
  };
  return { name: 'rollout', start: began, end: Math.max(began, ended), attributes, parts: [] };
}
