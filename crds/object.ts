// Members that every Kubernetes object has: the part of metadata that the programs use, and metav1.Condition.
import { z } from 'zod';
import { count, listMap, text, timestamp } from './fields.ts';

export const ownerReference = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});

/** Used only to read objects. The API server owns the schema of metadata, so the CRDs only require its presence. */
export const objectMeta = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.number().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z.array(ownerReference).optional(),
});

const condition = z.object({
  type: z.string().min(1).max(316).meta({ description: 'Type of the condition.' }),
  status: z
    .enum(['True', 'False', 'Unknown'])
    .meta({ description: 'Whether the condition holds. Unknown while this cannot be determined.' }),
  reason: z.string().min(1).max(1024).meta({ description: 'Code of the cause; docs/reasons.md explains each.' }),
  message: text('The cause in words, with the details of this case.', 32_768),
  lastTransitionTime: timestamp('When the condition’s status changed last.'),
  observedGeneration: count('The metadata.generation that the condition is about.').optional(),
});

export type Condition = z.infer<typeof condition>;

/** Types of conditions that stand in a status only while they are true. For kstatus, absent means False. */
export const conditionsPresentOnlyWhileTrue = [
  'RestartRequired',
  'Stalled',
  'Reconciling',
  'Paused',
  'Terminating',
] as const;

/**
 * 0, which the API server fills in, means that no operator has seen the object. Tools that judge by kstatus (Flux,
 * Helm, cli-utils) take an object without a status, or without this field, for one that is reconciled.
 */
export const observedGeneration = count(
  'The metadata.generation that this status is about; 0 until the operator has seen the object.',
)
  .meta({ default: 0 })
  .optional();

/** Metadata for the status of a kind: the object has a status from its creation on. */
export const unseen = { default: { observedGeneration: 0 } };

export const conditions = z
  .array(condition)
  .max(32)
  .meta({ description: 'Conditions of the object, one entry per type.', ...listMap('type') })
  .optional();
