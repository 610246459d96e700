// The status of a LinuxUtilityVM as a pure function of what is stored, what its agent reported and what the operator
// decided (design §4). The same inputs give the same status, so nothing is written when nothing changed.
//
//   status.ts ──next status──► write-need.ts ──now, later or never──► status-writer.ts ──► API server, transitions.ts ──► Events
import {
  type LinuxUtilityVMStatus,
  type Phase,
  pausedAnnotation,
  revisionLabel,
} from '../../../crds/linux-utility-vm.ts';
import { type LastExit, observedConditionTypes } from '../../../protocol/messages.ts';
import { type ReasonCode, reasons } from '../../../protocol/reasons.ts';
import type { VirtualMachine } from '../../kubernetes/objects.ts';
import { annotationWarnings, isAnnotationWarning, isPaused, isRestartRequested } from '../knowledge/annotations.ts';
import type { Report } from '../knowledge/reports.ts';
import { isGoodRest, type Rest } from '../knowledge/rest.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import { conditionsOf, type Judgement, timestampOf } from './conditions.ts';
import { historyOf, observedStatus, storedObservations } from './observed-status.ts';

export interface Verdict {
  readonly reason: ReasonCode;
  readonly message: string;
  /** The server could not answer: this says nothing about the object. */
  readonly isTransient?: boolean;
  /** Tried so often and for so long that nobody should expect it to pass. */
  readonly isLasting?: boolean;
}

/** Whether the objects that the spec refers to could be read; `None` when it refers to none. */
export type ReferencesVerdict = 'None' | 'Resolved' | Verdict;

export interface Scheduled {
  /** By default follows from `nodeName`. Set for a VM that waits on its host for room. */
  readonly status?: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

export interface StatusInputs {
  readonly object: VirtualMachine;
  /** The host that the VM is assigned to from now on. */
  readonly nodeName: string | undefined;
  readonly scheduled: Scheduled;
  readonly report: Report | undefined;
  /** The host has been without a session for long: anything that only its agent can know is unknown. */
  readonly disconnected: boolean;
  /** Why the VM cannot be passed to an agent in its present state. */
  readonly blocked: Verdict | undefined;
  /** Undefined when the references were not checked: their condition stays unchanged. */
  readonly references?: ReferencesVerdict | undefined;
  /** What a deletion waits for. */
  readonly terminating: Verdict | undefined;
  /** Why a VM without a host needs none. */
  readonly rest?: Rest | undefined;
  /**
   * The set of the VM allows the drain of its host to take it away, or the drain is over. Undefined for no change; a VM
   * that left its host is not being evicted any more.
   */
  readonly evicting?: Verdict | 'Over' | undefined;
  /** How the VM ended on the host that it leaves. */
  readonly end?: LastExit | undefined;
  /** The VM is being deleted, and its host has confirmed that nothing of it is left. */
  readonly tornDown?: boolean;
  /** According to the store, some host may have the VM. */
  readonly unproven?: boolean;
  readonly now: number;
}

const agentConditions: ReadonlySet<string> = new Set(observedConditionTypes);

export function nextStatus(inputs: StatusInputs): LinuxUtilityVMStatus {
  const { object, report, now } = inputs;
  const stored = object.status;
  const observedGeneration = generationOf(inputs);
  const { warnings, ...observed } = observations(inputs);
  const conditions = conditionsOf(
    stored.conditions ?? [],
    [...agentJudgements(inputs), ...failureJudgements(report), ...operatorJudgements(inputs)],
    observedGeneration,
    now,
  );
  const next = { ...observed, observedGeneration, conditions };
  return {
    ...next,
    ...warningsOf(object, { warnings }),
    phase: phaseOf(inputs),
    ...hostOf(inputs),
    ...readyRevisionOf(object, next),
  };
}

/** What a set must know of a VM, and no write of its own should tell it: that the VM was ready at its revision. */
function readyRevisionOf(
  { metadata, status }: VirtualMachine,
  next: Pick<LinuxUtilityVMStatus, 'conditions' | 'observedGeneration' | 'restartedAt'>,
): Pick<LinuxUtilityVMStatus, 'readyRevision'> {
  const is = (type: string) => conditionOf(next.conditions, type)?.status === 'True';
  const isCurrent = next.observedGeneration === metadata.generation && !isRestartRequested(metadata, next);
  const readyRevision =
    is('Ready') && isCurrent && !is('RestartRequired') ? metadata.labels?.[revisionLabel] : status.readyRevision;
  return readyRevision === undefined ? {} : { readyRevision };
}

/** The last host is kept for good, also in the write that removes the current one. */
function hostOf({ object, nodeName }: StatusInputs): Partial<Pick<LinuxUtilityVMStatus, 'nodeName' | 'lastNodeName'>> {
  const lastNodeName = nodeName ?? object.status.nodeName ?? object.status.lastNodeName;
  return {
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(lastNodeName === undefined ? {} : { lastNodeName }),
  };
}

/**
 * The generation that was acted on; a paused VM stays at the generation that it follows. One that has followed none and
 * has no host follows the present one: it waits.
 * The result never goes backwards: an agent that has not seen the newest generation does not make an older one current
 * again. A report from a newer generation means that the cluster was restored from a backup; such an agent has not seen
 * this generation yet.
 * A generation without a host proves that no host has the VM, so none is claimed before that is proven.
 */
function generationOf({ object, nodeName, report, unproven }: StatusInputs): number {
  const { generation } = object.metadata;
  if (nodeName === undefined && unproven === true) return object.status.observedGeneration ?? 0;
  const known = Math.min(object.status.observedGeneration ?? 0, generation);
  if (isHeld(object) && known > 0) return known;
  if (nodeName === undefined) return generation;
  const reported = report?.observed?.generation ?? 0;
  return reported > generation ? known : Math.max(known, reported);
}

function observations({ object, nodeName, report, end }: StatusInputs) {
  const stored = object.status;
  if (nodeName === undefined) return historyOf(stored, end);
  return report?.observed === undefined ? storedObservations(stored) : observedStatus(stored, report.observed);
}

/** The agent's warnings, and warnings about annotations without effect. */
function warningsOf(
  { metadata }: VirtualMachine,
  { warnings = [] }: Pick<LinuxUtilityVMStatus, 'warnings'>,
): Pick<LinuxUtilityVMStatus, 'warnings'> {
  const all = [...annotationWarnings(metadata), ...warnings.filter((each) => !isAnnotationWarning(each))];
  return all.length === 0 ? {} : { warnings: all.slice(0, warningsMaximum) };
}

const warningsMaximum = 32;

function phaseOf({ object, nodeName, report, disconnected, rest, tornDown }: StatusInputs): Phase {
  if (tornDown === true) return 'Stopped';
  if (nodeName === undefined && rest !== undefined) return isGoodRest(rest) ? 'Stopped' : 'Failed';
  if (nodeName === undefined) return 'Pending';
  if (disconnected) return 'Unknown';
  if (report?.observed !== undefined) return report.observed.phase;
  const { phase = 'Pending' } = object.status;
  return phase === 'Pending' ? 'Scheduled' : phase;
}

function agentJudgements(inputs: StatusInputs): readonly Judgement[] {
  const { object, nodeName, report, disconnected, rest } = inputs;
  if (nodeName === undefined && rest !== undefined) return restJudgements(rest, inputs.scheduled.message);
  if (nodeName === undefined)
    return [{ type: 'Ready', status: 'False', reason: inputs.scheduled.reason, message: inputs.scheduled.message }];
  const judged =
    report?.observed?.conditions ?? (object.status.conditions ?? []).filter(({ type }) => agentConditions.has(type));
  const waiting: Judgement = {
    type: 'Ready',
    status: 'False',
    reason: 'Preparing',
    message: 'the agent has not reported yet',
  };
  const known: readonly Judgement[] =
    isPendingOnly(object.status) && report?.observed === undefined ? [waiting] : judged;
  if (!disconnected) return known.length === 0 ? [waiting] : known;
  const since =
    object.metadata.deletionTimestamp === undefined ? 'has not been connected for more than 60 s' : 'is not connected';
  const message = `the agent of ${nodeName} ${since}; the VM may still run`;
  return (known.length === 0 ? [waiting] : known).map(({ type }) => ({
    type,
    status: 'Unknown',
    reason: 'HostDisconnected',
    message,
  }));
}

/** In the words of an agent whose VM rests on its host. */
function restJudgements(reason: Rest, message: string): readonly Judgement[] {
  if (!isGoodRest(reason)) return stalled({ reason, message, isLasting: true });
  return [{ type: 'Ready', status: 'True', reason, message }];
}

/** The stored Ready condition is about the search for a host, which is over. */
function isPendingOnly({ phase = 'Pending' }: LinuxUtilityVMStatus): boolean {
  return phase === 'Pending';
}

function failureJudgements(report: Report | undefined): readonly Judgement[] {
  if (report?.failure === undefined) return [];
  return stalled(report.failure);
}

/** Paused by the annotation: neither the VM nor its status changes. A deletion proceeds all the same. */
function isHeld({ metadata }: VirtualMachine): boolean {
  return metadata.deletionTimestamp === undefined && isPaused(metadata);
}

function operatorJudgements(inputs: StatusInputs): readonly Judgement[] {
  const { object, nodeName, scheduled, blocked, terminating, now } = inputs;
  return [
    ...referencesJudgements(inputs),
    ...evictingJudgements(inputs),
    ...(isHeld(object) ? [pausedJudgement(object, now)] : []),
    {
      type: 'Scheduled',
      status: nodeName === undefined ? 'False' : (scheduled.status ?? 'True'),
      reason: scheduled.reason,
      message: scheduled.message,
    },
    ...(blocked === undefined ? [] : stalled(blocked)),
    ...(terminating === undefined ? [] : [{ type: 'Terminating', status: 'True', ...terminating } as const]),
  ];
}

function referencesJudgements({ object, references }: StatusInputs): readonly Judgement[] {
  const type = 'ReferencesResolved';
  if (references === undefined) return (object.status.conditions ?? []).filter((stored) => stored.type === type);
  if (references === 'None') return [];
  if (references === 'Resolved') return [{ type, status: 'True', reason: 'Resolved', message: reasons.Resolved.text }];
  const { reason, message, isTransient = false } = references;
  return [{ type, status: isTransient ? 'Unknown' : 'False', reason, message }];
}

function evictingJudgements({ object, nodeName, evicting }: StatusInputs): readonly Judgement[] {
  if (nodeName === undefined || nodeName !== object.status.nodeName || evicting === 'Over') return [];
  if (evicting !== undefined) return [{ type: 'Evicting', status: 'True', ...evicting }];
  return (object.status.conditions ?? []).filter(({ type }) => type === 'Evicting');
}

function pausedJudgement({ status }: VirtualMachine, now: number): Judgement {
  const since = conditionOf(status.conditions, 'Paused')?.lastTransitionTime ?? timestampOf(now);
  const message = `held as it is by the annotation ${pausedAnnotation} since ${since}; what the manifest asks for waits`;
  return { type: 'Paused', status: 'True', reason: 'Paused', message };
}

function stalled({ reason, message, isLasting = false }: Verdict): readonly Judgement[] {
  const notReady: Judgement = { type: 'Ready', status: 'False', reason, message };
  return reasons[reason].action === 'stall' || isLasting
    ? [notReady, { ...notReady, type: 'Stalled', status: 'True' }]
    : [notReady];
}

/** The stored verdict, if the VM still has, or still lacks, its host. */
export function scheduledVerdict({ status }: VirtualMachine, nodeName: string | undefined): Scheduled {
  const stored = conditionOf(status.conditions, 'Scheduled');
  if (stored !== undefined && status.nodeName === nodeName && (nodeName !== undefined || stored.status === 'False')) {
    return stored;
  }
  if (nodeName === undefined) return { reason: 'NoHostFits', message: 'not placed yet' };
  return { reason: 'Scheduled', message: `placed on ${nodeName}` };
}
