// The status of a set: a pure function of the plan, the VMs and what stands in the way.

import { setLabel } from '../../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMSetStatus } from '../../../crds/linux-utility-vm-set.ts';
import { type ReasonCode, reasons } from '../../../protocol/reasons.ts';
import type { Step } from '../../../sets/changes.ts';
import type { Plan } from '../../../sets/plan.ts';
import type { MachineSet } from '../../kubernetes/objects.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import { conditionsOf, type Judgement, timestampOf } from '../status/conditions.ts';
import { isUpdated, type JudgedReplica } from './replica.ts';

export interface SetVerdict {
  readonly reason: ReasonCode;
  readonly message: string;
}

export interface SetView {
  readonly replicas: readonly JudgedReplica[];
  readonly wanted: readonly number[];
  /** Wanted ordinals whose name another object has. */
  readonly taken: ReadonlySet<number>;
  readonly plan: Plan;
  readonly maxUnavailable: number;
  readonly currentRevision: string;
  readonly updateRevision: string;
  readonly collisionCount: number;
  /** The fields in which the two revisions differ. */
  readonly changed: readonly string[];
  readonly paused: boolean;
  readonly progressDeadlineSeconds: number;
}

/** `view`: undefined while the VMs cannot be judged. */
export function setStatus(
  set: MachineSet,
  view: SetView | undefined,
  verdict: SetVerdict | undefined,
  now: number,
): LinuxUtilityVMSetStatus {
  const { generation, name } = set.metadata;
  const base = { observedGeneration: generation, selector: `${setLabel}=${name}` };
  if (view === undefined) {
    const { observedGeneration: _, selector: __, conditions = [], ...stored } = set.status;
    const judgements = readiness(set, verdict, false);
    return { ...stored, ...base, conditions: conditionsOf(conditions, judgements, generation, now) };
  }
  const counts = countsOf(view.replicas);
  const isComplete = verdict === undefined && isSettled(view);
  const progressedAt = progress(set, view, counts, now);
  const stalls = verdict !== undefined && reasons[verdict.reason].action === 'stall';
  const late = isComplete || view.paused || stalls ? undefined : overdue(view, verdict, progressedAt, now);
  const judgements = [
    ...readiness(set, late ?? verdict ?? waiting(view, isComplete), isComplete),
    availability(view, counts.availableReplicas),
    ...pause(view),
  ];
  return {
    ...base,
    ...counts,
    currentRevision: isComplete && view.replicas.every(isUpdated) ? view.updateRevision : view.currentRevision,
    updateRevision: view.updateRevision,
    ...(view.collisionCount > 0 && { collisionCount: view.collisionCount }),
    disruptionsAllowed: view.plan.disruptionsAllowed,
    rollout: rolloutOf(view, progressedAt),
    conditions: conditionsOf(set.status.conditions ?? [], judgements, generation, now),
  };
}

/** Of a set that waits for the deletion of its VMs. Nothing is planned for them any more. */
export function endingStatus(
  set: MachineSet,
  replicas: readonly JudgedReplica[],
  now: number,
): LinuxUtilityVMSetStatus {
  const { generation } = set.metadata;
  const { rollout: _, conditions = [], ...stored } = set.status;
  const left = replicas.length === 1 ? '1 VM is' : `${replicas.length} VMs are`;
  const message = `the set is being deleted, and ${left} still there`;
  return {
    ...stored,
    observedGeneration: generation,
    ...countsOf(replicas),
    disruptionsAllowed: 0,
    conditions: conditionsOf(conditions, readiness(set, { reason: 'Terminating', message }, false), generation, now),
  };
}

/** When the state changes although nothing happens: a VM has been ready for long enough, or the deadline is over. */
export function nextChange(view: SetView, { rollout }: LinuxUtilityVMSetStatus, now: number): number | undefined {
  const deadline = Date.parse(rollout?.progressedAt ?? '') + view.progressDeadlineSeconds * 1_000;
  const times = [...view.replicas.flatMap(({ availableAt, replaceAt }) => [availableAt, replaceAt]), deadline];
  const coming = times.filter((time): time is number => time !== undefined && time > now);
  return coming.length === 0 ? undefined : Math.min(...coming) - now;
}

function countsOf(replicas: readonly JudgedReplica[]) {
  const existing = replicas.filter(({ isDeleting }) => !isDeleting);
  const updated = existing.filter(isUpdated);
  return {
    replicas: existing.length,
    readyReplicas: existing.filter(({ isReady }) => isReady).length,
    availableReplicas: existing.filter(({ isAvailable }) => isAvailable).length,
    updatedReplicas: updated.length,
    updatedAvailableReplicas: updated.filter(({ isAvailable }) => isAvailable).length,
    restartRequiredReplicas: existing.filter(({ restartRequired }) => restartRequired).length,
  };
}

/** Every VM that may have the update revision has it, all are available, and there are no others. */
function isSettled({ replicas, wanted, plan }: SetView): boolean {
  if (plan.actions.length > 0 || replicas.length !== wanted.length) return false;
  return replicas.every((each) => each.isAvailable && (isUpdated(each) || !plan.allowed.has(each.ordinal)));
}

const progressCounts = ['availableReplicas', 'updatedReplicas', 'updatedAvailableReplicas'] as const;

function progress(set: MachineSet, view: SetView, counts: ReturnType<typeof countsOf>, now: number): string {
  const { status } = set;
  const before = status.rollout?.progressedAt;
  const isNew = status.observedGeneration !== set.metadata.generation || status.updateRevision !== view.updateRevision;
  const isMore =
    progressCounts.some((name) => counts[name] > (status[name] ?? 0)) || counts.replicas !== status.replicas;
  const wasComplete = conditionOf(status.conditions, 'Ready')?.status === 'True';
  const isDisturbed = wasComplete && !isSettled(view);
  return before === undefined || isNew || isMore || isDisturbed ? timestampOf(now) : before;
}

function overdue(
  view: SetView,
  verdict: SetVerdict | undefined,
  progressedAt: string,
  now: number,
): SetVerdict | undefined {
  const { progressDeadlineSeconds, plan } = view;
  if (now < Date.parse(progressedAt) + progressDeadlineSeconds * 1_000) return undefined;
  const message = `no progress for ${progressDeadlineSeconds} s: ${verdict?.message ?? plan.waitingFor ?? 'VMs are being changed'}`;
  return { reason: 'ProgressDeadlineExceeded', message };
}

function waiting({ plan }: SetView, isComplete: boolean): SetVerdict | undefined {
  if (isComplete) return undefined;
  return { reason: 'Progressing', message: plan.waitingFor ?? reasons.Progressing.text };
}

function readiness(set: MachineSet, verdict: SetVerdict | undefined, isComplete: boolean): readonly Judgement[] {
  if (isComplete) return [{ type: 'Ready', status: 'True', reason: 'Complete', message: reasons.Complete.text }];
  const { reason, message } = verdict ?? { reason: 'Progressing', message: reasons.Progressing.text };
  const isFirst = (set.status.observedGeneration ?? 0) === 0;
  const stalls = reasons[reason].action === 'stall';
  const status = isFirst && !stalls ? 'Unknown' : 'False';
  return [
    { type: 'Ready', status, reason, message },
    { type: stalls ? 'Stalled' : 'Reconciling', status: 'True', reason, message },
  ];
}

function availability({ wanted, maxUnavailable }: SetView, available: number): Judgement {
  const isEnough = available >= Math.max(0, wanted.length - maxUnavailable);
  const reason = isEnough ? 'EnoughAvailable' : 'TooFewAvailable';
  const message = `${available} of ${wanted.length} VMs are available, and ${maxUnavailable} may be unavailable`;
  return { type: 'Available', status: isEnough ? 'True' : 'False', reason, message };
}

function pause({ paused }: SetView): readonly Judgement[] {
  if (!paused) return [];
  return [{ type: 'Paused', status: 'True', reason: 'RolloutPaused', message: reasons.RolloutPaused.text }];
}

const stepsByWeight = ['Recreate', 'Restart', 'Switch', 'Live'] as const;
const shownMethods = { Recreate: 'Recreate', Restart: 'Restart', Switch: 'Restart', Live: 'Live' } as const;
const shownFields = 32;

function rolloutOf(view: SetView, progressedAt: string): LinuxUtilityVMSetStatus['rollout'] {
  const { replicas, plan, changed } = view;
  const targets = replicas.filter(({ ordinal }) => plan.allowed.has(ordinal));
  const steps = new Set<Step | undefined>(targets.map(({ step }) => step));
  const heaviest = stepsByWeight.find((step) => steps.has(step));
  return {
    ...(heaviest !== undefined && { method: shownMethods[heaviest] }),
    ...(heaviest !== undefined && changed.length > 0 && { changed: changed.slice(0, shownFields) }),
    target: plan.allowed.size,
    done: targets.filter((each) => isUpdated(each) && each.isAvailable).length,
    ...(plan.waitingFor !== undefined && { waitingFor: plan.waitingFor }),
    progressedAt,
  };
}
