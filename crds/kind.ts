// A kind of the API: its names and columns, and the zod schema that its OpenAPI schema is generated from.
import type { z } from 'zod';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** Shown only with `-o wide`. */
  readonly wide?: true;
}

/** JSON paths of the scale subresource, which `kubectl scale` and autoscalers use. */
export interface Scale {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  readonly labelSelectorPath: string;
}

export interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly scope: 'Namespaced' | 'Cluster';
  readonly schema: z.ZodObject;
  readonly scale?: Scale;
  readonly columns: readonly PrinterColumn[];
  /** JSON paths that clients can select by (`kubectl get --field-selector`). */
  readonly selectableFields: readonly string[];
}
