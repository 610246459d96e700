// The kinds that the simulated API server serves: those that the operator uses.
import type { z } from 'zod';
import { openApiSchema } from '../../../crds/custom-resource-definition.ts';
import type { Kind } from '../../../crds/kind.ts';
import { linuxUtilityVMKind } from '../../../crds/linux-utility-vm.ts';
import {
  linuxUtilityVMHostKind,
  linuxUtilityVMHostSpec,
  linuxUtilityVMHostStatus,
} from '../../../crds/linux-utility-vm-host.ts';
import {
  linuxUtilityVMSetKind,
  linuxUtilityVMSetSpec,
  linuxUtilityVMSetStatus,
} from '../../../crds/linux-utility-vm-set.ts';
import { linuxUtilityVMSpec } from '../../../crds/linux-utility-vm-spec.ts';
import { linuxUtilityVMStatus } from '../../../crds/linux-utility-vm-status.ts';
import { apiVersion } from '../../../crds/names.ts';
import { isObject } from '../../../crds/structural.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import type { StoredObject } from './objects.ts';
import { type Completion, completionBy } from './schema.ts';

export type KindName =
  | 'LinuxUtilityVM'
  | 'LinuxUtilityVMHost'
  | 'LinuxUtilityVMSet'
  | 'Node'
  | 'ConfigMap'
  | 'Secret'
  | 'Lease'
  | 'ControllerRevision'
  | 'Event'
  | 'APIService';

export interface ServedKind {
  readonly kind: KindName;
  readonly apiVersion: string;
  readonly plural: string;
  readonly isNamespaced: boolean;
  /** Whether the status is written through its subresource only. */
  readonly hasStatus: boolean;
  /** Whether `metadata.generation` counts the changes of the spec. */
  readonly hasGeneration: boolean;
  /** Whether a PUT may leave out the version that it replaces. */
  readonly isVersionOptional: boolean;
  /** Whether `metadata.managedFields` tells when each writer wrote last. */
  readonly hasManagers: boolean;
  /** Whether a new object keeps the status that its creator sent. */
  readonly keepsFirstStatus: boolean;
  readonly complete: { readonly spec: Completion; readonly status: Completion };
  /** What is wrong with an object that is about to replace `before`; undefined if nothing is. */
  readonly problemOf: (object: StoredObject, before: StoredObject | undefined) => string | undefined;
}

const builtIn = {
  hasStatus: false,
  hasGeneration: false,
  isVersionOptional: true,
  hasManagers: false,
  keepsFirstStatus: false,
  complete: { spec: (value: unknown) => value, status: (value: unknown) => value },
  problemOf: () => undefined,
} as const;

function custom(kind: Kind, schemas: { readonly spec: z.ZodType; readonly status: z.ZodType }) {
  const { properties } = openApiSchema(kind.schema);
  const [spec, status] = isObject(properties) ? [properties['spec'], properties['status']] : [];
  return {
    apiVersion,
    plural: kind.plural,
    isNamespaced: kind.scope === 'Namespaced',
    hasStatus: true,
    hasGeneration: true,
    isVersionOptional: false,
    hasManagers: false,
    keepsFirstStatus: false,
    complete: { spec: completedOrDefault(spec), status: completedOrDefault(status) },
    problemOf: (object: StoredObject, before: StoredObject | undefined) =>
      problemOf(schemas.spec, object['spec'], before?.['spec']) ??
      problemOf(schemas.status, object['status'], before?.['status']) ??
      moveProblem(object, before),
  };
}

function completedOrDefault(schema: unknown): Completion {
  const complete = completionBy(schema);
  const fallback = isObject(schema) ? schema['default'] : undefined;
  return (value) => {
    const given = value ?? fallback;
    return given === undefined ? undefined : complete(given);
  };
}

/** A part that did not change is valid, as for an API server with ratcheting validation. */
function problemOf(schema: z.ZodType, value: unknown, before: unknown): string | undefined {
  if (value === undefined || value === before) return undefined;
  const parsed = schema.safeParse(value);
  return parsed.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
}

/** The one transition rule of the CRD. */
function moveProblem(object: StoredObject, before: StoredObject | undefined): string | undefined {
  const nodeName = (part: unknown) => (isObject(part) ? part['nodeName'] : undefined);
  if (nodeName(before?.['status']) === undefined) return undefined;
  if (sameJson(nodeName(before?.['spec']), nodeName(object['spec']))) return undefined;
  return 'spec.nodeName can change only while status.nodeName is absent';
}

/** What a revision has stored never changes. */
function revisionProblem(object: StoredObject, before: StoredObject | undefined): string | undefined {
  if (typeof object['revision'] !== 'number') return 'revision: Required value';
  if (before === undefined || sameJson(object['data'], before['data'])) return undefined;
  return 'data: field is immutable';
}

export const servedKinds: readonly ServedKind[] = [
  {
    kind: 'LinuxUtilityVM',
    ...custom(linuxUtilityVMKind, { spec: linuxUtilityVMSpec, status: linuxUtilityVMStatus }),
  },
  {
    kind: 'LinuxUtilityVMHost',
    ...custom(linuxUtilityVMHostKind, { spec: linuxUtilityVMHostSpec, status: linuxUtilityVMHostStatus }),
  },
  {
    kind: 'LinuxUtilityVMSet',
    ...custom(linuxUtilityVMSetKind, { spec: linuxUtilityVMSetSpec, status: linuxUtilityVMSetStatus }),
  },
  {
    ...builtIn,
    kind: 'Node',
    apiVersion: 'v1',
    plural: 'nodes',
    isNamespaced: false,
    hasStatus: true,
    keepsFirstStatus: true,
  },
  { ...builtIn, kind: 'ConfigMap', apiVersion: 'v1', plural: 'configmaps', isNamespaced: true },
  { ...builtIn, kind: 'Secret', apiVersion: 'v1', plural: 'secrets', isNamespaced: true },
  {
    ...builtIn,
    kind: 'Lease',
    apiVersion: 'coordination.k8s.io/v1',
    plural: 'leases',
    isNamespaced: true,
    isVersionOptional: false,
    hasManagers: true,
  },
  {
    ...builtIn,
    kind: 'ControllerRevision',
    apiVersion: 'apps/v1',
    plural: 'controllerrevisions',
    isNamespaced: true,
    problemOf: revisionProblem,
  },
  { ...builtIn, kind: 'Event', apiVersion: 'events.k8s.io/v1', plural: 'events', isNamespaced: true },
  {
    ...builtIn,
    kind: 'APIService',
    apiVersion: 'apiregistration.k8s.io/v1',
    plural: 'apiservices',
    isNamespaced: false,
    hasStatus: true,
  },
];

const byName = new Map(servedKinds.map((kind) => [kind.kind, kind]));

export function servedKind(name: KindName): ServedKind {
  const kind = byName.get(name);
  if (kind === undefined) throw new Error(`${name} is not served`);
  return kind;
}
