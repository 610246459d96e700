// What a changed set will do to its VMs: a pure function of the set before and after, its VMs and its revisions.
import { type LinuxUtilityVMSetSpec, linuxUtilityVMSetSpec } from '../../crds/linux-utility-vm-set.ts';
import { restartedAtAnnotation } from '../../crds/names.ts';
import type { SetTemplate } from '../../crds/set/template.ts';
import { budgetOf, parallelOf, partitionOf } from '../../sets/amounts.ts';
import { changeBetween, differences, type FieldClass, memberOf, restartStep, type Step } from '../../sets/changes.ts';
import { templateProblem } from '../../sets/expansion.ts';
import { ordinalOf, wantedOrdinals } from '../../sets/ordinals.ts';
import { isPresent } from '../../sets/plan.ts';
import { type PreviewStep, preview } from '../../sets/preview.ts';
import { parseTemplate } from '../../sets/templates.ts';
import type { Member, ShownRevision, ShownSet } from './objects.ts';
import { replicaOf, updateRevision } from './replicas.ts';

/** What a changed field needs on a VM. */
export type Need =
  | 'live change'
  | 'next placement'
  | 'next start'
  | 'stop or start'
  | 'restart'
  | 'recreation'
  /** A restart, which the method LiveOnly does not allow. */
  | 'refused';

export interface FieldForecast {
  readonly path: string;
  readonly from?: unknown;
  readonly to?: unknown;
  /** Absent for a setting of the set itself, which changes no VM. */
  readonly needs?: Need;
}

export interface Forecast {
  readonly set: string;
  readonly isNew: boolean;
  /** Why the set would do nothing; undefined if it would not stall. */
  readonly problem?: string | undefined;
  readonly template: readonly FieldForecast[];
  readonly settings: readonly FieldForecast[];
  readonly maxUnavailable: number;
  readonly maxParallelLive: number;
  readonly unavailable: number;
  readonly steps: readonly PreviewStep[];
  /** VMs that keep their revision, and why. */
  readonly kept: number;
  readonly keptBy?: 'spec.update.paused' | 'spec.update.type OnDelete' | 'spec.update.partition' | undefined;
  readonly waiting: readonly string[];
  readonly refused: readonly string[];
}

export interface ForecastInputs {
  /** Undefined for a set that does not exist. */
  readonly before: ShownSet | undefined;
  readonly after: ShownSet;
  readonly members: readonly Member[];
  readonly revisions: readonly ShownRevision[];
  readonly now: number;
}

export function forecast(inputs: ForecastInputs): Forecast {
  const { before, after } = inputs;
  const spec = linuxUtilityVMSetSpec.parse(after.spec);
  const former = before === undefined ? undefined : parseTemplate(before.spec.template);
  const ordinals = wantedOrdinals(spec);
  const { name } = after.metadata;
  const { maxUnavailable, replicas, update } = spec;
  const bounds = {
    maxUnavailable: budgetOf(maxUnavailable, replicas),
    maxParallelLive: parallelOf(update.maxParallelLive, replicas),
  };
  const base = {
    set: name,
    isNew: before === undefined,
    template: former === undefined ? [] : templateFields(former, spec.template, update.method),
    settings: before === undefined ? [] : settingFields(before, after),
    ...bounds,
  };
  const nothing = { unavailable: 0, steps: [], kept: 0, waiting: [], refused: [] };
  if (!ordinals.ok) return { ...base, ...nothing, problem: `OrdinalsInvalid: ${ordinals.message}` };
  const wrong = templateProblem(spec.template, name, ordinals.ordinals);
  if (wrong !== undefined) return { ...base, ...nothing, problem: `TemplateInvalid: ${wrong}` };
  return { ...base, ...steps(inputs, spec, ordinals.ordinals, bounds) };
}

type Method = LinuxUtilityVMSetSpec['update']['method'];

export function templateFields(before: SetTemplate, after: SetTemplate, method: Method): readonly FieldForecast[] {
  const { fields, step } = changeBetween(before, after, method);
  const ofSpec = fields.map(({ class: kind, path }) => ({
    path,
    ...valuesAt(before, after, path),
    needs: needOf(kind, step, method),
  }));
  const marks = (['labels', 'annotations'] as const).flatMap((kind) => {
    const [one, other] = [before, after].map(({ metadata }) => metadata?.[kind] ?? {});
    return [...new Set([...Object.keys(one ?? {}), ...Object.keys(other ?? {})])]
      .filter((key) => one?.[key] !== other?.[key])
      .map((key) => ({
        path: `metadata.${kind}[${key}]`,
        from: one?.[key],
        to: other?.[key],
        needs: 'live change' as const,
      }))
      .filter(({ path }) => !ofSpec.some((field) => field.path === path));
  });
  return [...ofSpec, ...marks];
}

function valuesAt(before: SetTemplate, after: SetTemplate, path: string) {
  if (path !== `metadata.annotations[${restartedAtAnnotation}]`) {
    return { from: memberOf(before.spec, path), to: memberOf(after.spec, path) };
  }
  const [from, to] = [before, after].map(({ metadata }) => metadata?.annotations?.[restartedAtAnnotation]);
  return { from, to };
}

const needs = { Restart: 'restart', Recreate: 'recreation', Refused: 'refused' } as const;

function needOf(kind: FieldClass, step: Step, method: Method): Need {
  if (step === 'Switch') return 'stop or start';
  if (kind === 'Live') return 'live change';
  // The VMs are halted.
  if (kind === 'Restart' && step === 'Live') return 'next start';
  if (kind === 'NextPlacement') return method === 'LiveOrRecreate' ? 'recreation' : 'next placement';
  return needs[restartStep(method)];
}

function settingFields(before: ShownSet, after: ShownSet): readonly FieldForecast[] {
  const [one, other] = [before, after].map(({ spec: { template: _, ...settings } }) => settings);
  return [...differences(one, other)].map((path) => ({ path, from: memberOf(one, path), to: memberOf(other, path) }));
}

function steps(
  inputs: ForecastInputs,
  spec: LinuxUtilityVMSetSpec,
  wanted: readonly number[],
  bounds: Pick<Forecast, 'maxUnavailable' | 'maxParallelLive'>,
) {
  const { after, members, revisions, now } = inputs;
  const { name } = after.metadata;
  const { update } = spec;
  const paused = update.paused === true;
  const templates = new Map(revisions.map(({ data, metadata }) => [metadata.name, parseTemplate(data?.template)]));
  const replicas = members.flatMap((each) => {
    const ordinal = ordinalOf(name, each.metadata.name);
    return ordinal === undefined ? [] : [replicaOf(each, ordinal, { spec, templates, now })];
  });
  const partition = partitionOf(update.partition, spec.replicas);
  const plans = {
    wanted,
    replicas,
    taken: new Set<number>(),
    type: update.type,
    method: update.method,
    paused,
    partition,
  };
  const next = preview(name, { ...plans, ...bounds, currentRevision: updateRevision, updateRevision });
  const ranks = new Map(wanted.map((ordinal, rank) => [ordinal, rank]));
  const isAll = paused || update.type === 'OnDelete';
  const isKept = (rank: number | undefined) => rank !== undefined && (isAll || rank < partition);
  const kept = replicas.filter(({ ordinal, step }) => step !== undefined && isKept(ranks.get(ordinal)));
  const unavailable = wanted.length - replicas.filter((each) => ranks.has(each.ordinal) && isPresent(each)).length;
  return { ...next, unavailable, kept: kept.length, keptBy: kept.length === 0 ? undefined : reasonToKeep(spec) };
}

function reasonToKeep({ update }: LinuxUtilityVMSetSpec): Forecast['keptBy'] {
  if (update.type === 'OnDelete') return 'spec.update.type OnDelete';
  return update.paused === true ? 'spec.update.paused' : 'spec.update.partition';
}
