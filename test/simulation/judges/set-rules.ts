// What the manifest of a set asks for, as docs/sets.md says it: written for the judges, and independent of the product.
import { setLabel } from '../../../crds/names.ts';
import { isObject } from '../../../crds/structural.ts';
import { servedKind } from '../api-server/kinds.ts';
import { controllerOf, type StoredObject } from '../api-server/objects.ts';

type Members = Readonly<Record<string, unknown>>;

export interface SetRules {
  readonly name: string;
  /** Names of the wanted VMs, in the order of their ordinals. */
  readonly wanted: readonly string[];
  readonly budget: number;
  readonly minReadyMilliseconds: number;
  readonly method: unknown;
  /** Names of the VMs that may get a changed template. */
  readonly allowed: ReadonlySet<string>;
  /** So many failed starts, after which a VM may be replaced; none if that is not asked for. */
  readonly startFailures: number;
}

export function rulesOf({ metadata: { name }, spec }: StoredObject): SetRules {
  const { maxUnavailable, minReadySeconds, ordinals, replacement, replicas, update } = membersOf(spec);
  const { afterStartFailures } = membersOf(replacement);
  const { method, partition, paused, type } = membersOf(update);
  const count = numberOf(replicas);
  const wanted = wantedOrdinals(count, membersOf(ordinals)).map((ordinal) => `${name}-${ordinal}`);
  const keepsAll = type === 'OnDelete' || paused === true;
  return {
    name,
    wanted,
    budget: Math.max(1, Math.floor(amountOf(maxUnavailable, count))),
    minReadyMilliseconds: 1_000 * numberOf(minReadySeconds),
    method,
    startFailures: afterStartFailures === undefined ? Number.POSITIVE_INFINITY : numberOf(afterStartFailures),
    allowed: new Set(keepsAll ? [] : wanted.slice(Math.ceil(amountOf(partition, count)))),
  };
}

/** Some domain must not have more VMs of the set. */
export interface StrictConstraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
}

/** Those for which a VM waits. */
export function strictConstraintsOf({ spec }: StoredObject): readonly StrictConstraint[] {
  const { topologySpreadConstraints: all } = membersOf(spec);
  return (Array.isArray(all) ? all : [])
    .map(membersOf)
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule')
    .map(({ maxSkew, topologyKey }) => ({ topologyKey: String(topologyKey), maxSkew: numberOf(maxSkew) }));
}

/** The set that controls the VM and whose label it has. */
export function setOf(object: StoredObject) {
  const controller = controllerOf(object);
  return controller?.kind === 'LinuxUtilityVMSet' ? controller : undefined;
}

export function isLabelled({ metadata }: StoredObject, set: string): boolean {
  return metadata.labels?.[setLabel] === set;
}

/** The template as the present schema completes it. */
export function meaningOf(template: unknown): Members {
  const spec = membersOf(servedKind('LinuxUtilityVMSet').complete.spec({ template }));
  const { metadata, spec: machine } = membersOf(spec['template']);
  const { annotations = {}, labels = {} } = membersOf(metadata);
  return { annotations, labels, spec: machine };
}

/** None if the ordinals are wrong. */
function wantedOrdinals(count: number, { reserved, start }: Members): readonly number[] {
  const ranges = (Array.isArray(reserved) ? reserved : []).map((entry) => {
    const [first = 0, last = first] = String(entry).split('-').map(Number);
    return { first, last };
  });
  if (ranges.some(({ first, last }) => first > last)) return [];
  const wanted: number[] = [];
  for (let ordinal = numberOf(start); wanted.length < count; ordinal += 1) {
    if (!ranges.some(({ first, last }) => first <= ordinal && ordinal <= last)) wanted.push(ordinal);
  }
  return wanted;
}

function amountOf(value: unknown, count: number): number {
  return typeof value === 'string' ? (Number.parseInt(value, 10) * count) / 100 : numberOf(value);
}

export function membersOf(value: unknown): Members {
  return isObject(value) ? value : {};
}

export function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
