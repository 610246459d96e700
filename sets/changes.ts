// What a change of the template needs on each VM: whether a running VM can take it, or a restart or a new VM is needed
// (design §8, §13). Pure: compares two templates as the API server stored them.
import type { LinuxUtilityVMSpec } from '../crds/linux-utility-vm.ts';
import { restartedAtAnnotation } from '../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMSetSpec } from '../crds/linux-utility-vm-set.ts';
import type { SetTemplate } from '../crds/set/template.ts';
import { sameJson } from '../runtime/same-json.ts';

export type FieldClass =
  /** A running VM takes it. */
  | 'Live'
  /** It counts when the VM is placed the next time. */
  | 'NextPlacement'
  | 'Restart'
  /** The VM is to stop, or to start. */
  | 'RunStrategy';

export interface FieldChange {
  /** Members below `spec`, joined by `.`. */
  readonly path: string;
  readonly class: FieldClass;
}

/** How one VM gets a change. `Refused`: the method of the set does not allow what the change needs. */
export type Step = 'Live' | 'Switch' | 'Restart' | 'Recreate' | 'Refused';

export interface TemplateChange {
  readonly fields: readonly FieldChange[];
  readonly step: Step;
  /** A part of the change needs no restart, and goes first. */
  readonly hasLivePart: boolean;
}

type Method = LinuxUtilityVMSetSpec['update']['method'];
/** Of a template, or of a VM. */
type ComparedSpec = Omit<LinuxUtilityVMSpec, 'nodeName' | 'updateStrategy'>;
interface Compared {
  readonly metadata?: SetTemplate['metadata'];
  readonly spec: ComparedSpec;
}

const liveFields: Readonly<Record<string, (spec: ComparedSpec) => boolean>> = {
  'memory.sizeInMB': (spec) => !hasVirtualNuma(spec) && spec.confidential?.isolation !== 'SNP',
  'processor.limit': () => true,
  'processor.weight': () => true,
  'processor.cpuGroupID': ({ resourcePartitionID }) => resourcePartitionID === undefined,
  'storage.disks': () => true,
  'fileShares.shares': () => true,
};

const placementFields: readonly string[] = ['nodeSelector', 'tolerations'];
/** Lists, and maps whose keys users choose, change as a whole. */
const wholeFields: ReadonlySet<string> = new Set(['nodeSelector', 'hvSocket.serviceTable']);

export function changeBetween(before: Compared, after: Compared, method: Method): TemplateChange {
  const fields = [...differences(before.spec, after.spec)].map((path) => classified(path, before.spec, after.spec));
  if (restartValue(before) !== restartValue(after) && restartValue(after) !== undefined) {
    fields.push({ path: `metadata.annotations[${restartedAtAnnotation}]`, class: 'Restart' });
  }
  const step = stepOf(fields, before, after, method);
  const hasLivePart =
    (step === 'Restart' || step === 'Recreate') && fields.some((field) => field.class === 'Live' && isOfSpec(field));
  return { fields, step, hasLivePart };
}

/**
 * The same for a VM whose former template is not known, such as one that was made by hand. What the template does not
 * name stays as it is.
 */
export function changeOfMachine(
  { nodeName, updateStrategy, ...spec }: LinuxUtilityVMSpec,
  after: SetTemplate,
  method: Method,
): TemplateChange {
  return changeBetween({ spec }, { spec: overlaid(spec, after.spec) }, method);
}

/** The template that has of `after` only what a running VM takes. */
export function livePartOf(before: SetTemplate, after: SetTemplate, { fields }: TemplateChange): SetTemplate {
  const paths = fields.filter((field) => field.class === 'Live' && isOfSpec(field)).map(({ path }) => path);
  return { ...before, spec: paths.reduce((spec, path) => withMember(spec, after.spec, path), before.spec) };
}

/** The live fields of `template` are those of the VM. */
export function hasLiveFieldsOf(spec: LinuxUtilityVMSpec, wanted: SetTemplate, { fields }: TemplateChange): boolean {
  return fields
    .filter((field) => field.class === 'Live' && isOfSpec(field))
    .every(({ path }) => sameJson(memberOf(spec, path), memberOf(wanted.spec, path)));
}

function isOfSpec({ path }: FieldChange): boolean {
  return !path.startsWith('metadata.');
}

function restartValue({ metadata }: Compared): string | undefined {
  return metadata?.annotations?.[restartedAtAnnotation];
}

/** How a VM gets what needs a restart. */
export function restartStep(method: Method): 'Restart' | 'Recreate' | 'Refused' {
  return method === 'LiveOnly' ? 'Refused' : method === 'LiveOrRecreate' ? 'Recreate' : 'Restart';
}

function stepOf(fields: readonly FieldChange[], before: Compared, after: Compared, method: Method): Step {
  const has = (one: FieldClass) => fields.some((field) => field.class === one);
  // A VM that does not run takes everything at its next start.
  if (has('RunStrategy')) return 'Switch';
  if (after.spec.runStrategy === 'Halted' && before.spec.runStrategy === 'Halted') return 'Live';
  if (has('Restart')) return restartStep(method);
  return has('NextPlacement') && method === 'LiveOrRecreate' ? 'Recreate' : 'Live';
}

function classified(path: string, before: ComparedSpec, after: ComparedSpec): FieldChange {
  if (path === 'runStrategy') return { path, class: 'RunStrategy' };
  if (placementFields.includes(path)) return { path, class: 'NextPlacement' };
  const canBeLive = liveFields[path];
  // The VM has the properties of before while it is changed.
  return { path, class: canBeLive?.(before) === true && canBeLive(after) ? 'Live' : 'Restart' };
}

function hasVirtualNuma({ numa }: ComparedSpec): boolean {
  return (numa?.maxProcessorsPerNode ?? 0) > 0 || (numa?.nodes ?? []).length > 0;
}

/** The paths of the members that differ, joined by `.`. */
export function* differences(before: unknown, after: unknown, path = ''): Generator<string> {
  if (sameJson(before, after)) return;
  const isWhole = wholeFields.has(path) || Array.isArray(before) || Array.isArray(after);
  const inner = [before, after].filter(isMembers);
  const isNested = inner.length > 0 && [before, after].every((each) => each === undefined || isMembers(each));
  if (isWhole || !isNested) {
    yield path;
    return;
  }
  for (const name of new Set(inner.flatMap((each) => Object.keys(each)))) {
    yield* differences(memberOf(before, name), memberOf(after, name), path === '' ? name : `${path}.${name}`);
  }
}

export function memberOf(value: unknown, path: string): unknown {
  return path.split('.').reduce((within, name) => (isMembers(within) ? within[name] : undefined), value);
}

function withMember<T extends object>(to: T, from: object, path: string): T {
  const [name = '', ...rest] = path.split('.');
  const value = memberOf(from, name);
  if (rest.length === 0) return { ...to, [name]: value };
  const [inner, source] = [memberOf(to, name), value].map((each) => (isMembers(each) ? each : {}));
  return { ...to, [name]: withMember(inner ?? {}, source ?? {}, rest.join('.')) };
}

function overlaid<T extends object>(base: T, top: object, path = ''): T {
  const members = Object.entries(top).map(([name, value]) => {
    const below = memberOf(base, name);
    const at = path === '' ? name : `${path}.${name}`;
    return [name, isMembers(value) && isMembers(below) && !wholeFields.has(at) ? overlaid(below, value, at) : value];
  });
  return { ...base, ...Object.fromEntries(members) };
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
