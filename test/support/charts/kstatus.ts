// The generic rules of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus/status), by which Flux, `kubectl wait`-like tools
// and kustomize controllers judge objects of unknown kinds.
import { z } from 'zod';

export type KStatus = 'InProgress' | 'Failed' | 'Current' | 'Terminating';

const object = z.object({
  metadata: z.object({ generation: z.number(), deletionTimestamp: z.string().optional() }),
  status: z
    .object({
      observedGeneration: z.number().optional(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
    })
    .prefault({}),
});

export function kstatusOf(raw: unknown): KStatus {
  const { metadata, status } = object.parse(raw);
  const is = (type: string, value: string) =>
    status.conditions.some((condition) => condition.type === type && condition.status === value);
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (status.observedGeneration !== undefined && status.observedGeneration !== metadata.generation) return 'InProgress';
  if (is('Reconciling', 'True')) return 'InProgress';
  if (is('Stalled', 'True')) return 'Failed';
  if (is('Ready', 'False') || is('Ready', 'Unknown')) return 'InProgress';
  return 'Current';
}
