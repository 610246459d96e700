// Objects as the simulated API server stores them. A stored object never changes: a write replaces it by another one.
import { z } from 'zod';
import { ownerReference } from '../../../crds/object.ts';
import { isObject } from '../../../crds/structural.ts';

const names = z.record(z.string(), z.string());
const managedFields = z.object({ manager: z.string(), operation: z.string(), time: z.string() });

/** Metadata that a client may send. Its other members are dropped. */
const sentMetadata = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  labels: names.optional(),
  annotations: names.optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z.array(ownerReference).optional(),
});
export type SentMetadata = z.infer<typeof sentMetadata>;

const sentObject = z.looseObject({ metadata: sentMetadata });
/** An object that a client sends, without the null values that a patch or manifest may contain in its metadata. */
export type SentObject = z.infer<typeof sentObject>;

export interface StoredMetadata extends SentMetadata {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly managedFields?: readonly z.infer<typeof managedFields>[];
}

export interface StoredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: StoredMetadata;
  readonly [member: string]: unknown;
}

/** The owner that manages the object. */
export function controllerOf({ metadata: { ownerReferences = [] } }: StoredObject) {
  return ownerReferences.find(({ controller }) => controller === true);
}

/** Undefined for anything that is not an object with metadata. */
export function parseSent(raw: unknown): SentObject | undefined {
  return sentObject.safeParse(raw).data;
}

export function keyOf({ namespace, name }: { readonly namespace?: string | undefined; readonly name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** A JSON merge patch (RFC 7386). Parts that it does not touch are shared with `target`. */
export function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

/** One version of an object. */
export class Version {
  readonly object: StoredObject;
  readonly revision: number;
  #text: string | undefined;

  constructor(object: StoredObject, revision: number) {
    this.object = object;
    this.revision = revision;
  }

  /** As it is sent: serialized once for all readers. */
  get text(): string {
    this.#text ??= JSON.stringify(this.object);
    return this.#text;
  }
}
