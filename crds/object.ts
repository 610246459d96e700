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

/** For reading only. The API server owns the schema of metadata, so the CRDs only require that metadata is present. */
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
  type: z.string().min(1).max(316).meta({ description: 'What the condition is about.' }),
  status: z
    .enum(['True', 'False', 'Unknown'])
    .meta({ description: 'Whether it holds; Unknown while nobody can tell.' }),
  reason: z.string().min(1).max(1024).meta({ description: 'A code for why; docs/reasons.md explains each.' }),
  message: text('The same for people, with the details of this case.', 32_768),
  lastTransitionTime: timestamp('When `status` changed last.'),
  observedGeneration: count('The metadata.generation that this is about.').optional(),
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
  .meta({ description: 'What is the case with the object, one entry per type.', ...listMap('type') })
  .optional();
