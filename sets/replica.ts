// One VM of a set as the plan sees it, from its object alone: the plan relies on nothing that a new leader does not know.
import { type LinuxUtilityVMSpec, type LinuxUtilityVMStatus, revisionLabel } from '../crds/linux-utility-vm.ts';
import type { Condition } from '../crds/object.ts';
import type { Step } from './changes.ts';
import type { Replica } from './plan.ts';

export interface ReplicaFacts {
  readonly metadata: {
    readonly name: string;
    readonly generation: number;
    readonly deletionTimestamp?: string | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
  };
  /** Undefined if it cannot be read. */
  readonly runStrategy: LinuxUtilityVMSpec['runStrategy'] | undefined;
  readonly status: LinuxUtilityVMStatus;
  readonly ordinal: number;
  /** Its annotation asks for a restart that its agent has not handled. */
  readonly isRestartRequested: boolean;
  /** A deletion was written that the cache may not show. */
  readonly isDeleted: boolean;
  readonly isToLeave: boolean;
  readonly minReadySeconds: number;
  /** Undefined if VMs are not replaced. */
  readonly replacement: Replacement | undefined;
  readonly now: number;
  readonly step: Step | undefined;
  readonly lacksLivePart: boolean;
}

/** When a VM whose start fails is replaced. */
export interface Replacement {
  readonly startFailures: number;
  /** For how long it has not been ready. */
  readonly milliseconds: number;
}

export interface Judged extends Replica {
  readonly isReady: boolean;
  /** When it will have been ready for long enough, if it is ready and has not. */
  readonly availableAt: number | undefined;
  /** When its start will have failed for long enough, if it has not. */
  readonly replaceAt: number | undefined;
}

export function judge(facts: ReplicaFacts): Judged {
  const { metadata, status, ordinal, isDeleted, isToLeave, step, lacksLivePart, now, runStrategy } = facts;
  const revision = metadata.labels?.[revisionLabel];
  const isDeleting = isDeleted || metadata.deletionTimestamp !== undefined;
  const ready = conditionOf(status, 'Ready');
  const isReady = !isDeleting && ready?.status === 'True' && isAsStrategySays(runStrategy, ready.reason);
  const since = Math.max(dateOf(ready?.lastTransitionTime), dateOf(status.startTime));
  const availableAt = since + facts.minReadySeconds * 1_000;
  const { readyRevision } = status;
  return {
    name: metadata.name,
    ordinal,
    revision,
    isReady,
    isAvailable: isReady && (facts.minReadySeconds === 0 || availableAt <= now),
    ...replacementOf(facts, ready),
    availableAt: isReady && availableAt > now ? availableAt : undefined,
    // A VM that was not made by a set shows that it was up by its start.
    wasReady: revision === undefined ? status.startTime !== undefined : readyRevision === revision,
    wasReadyBefore: readyRevision !== undefined && readyRevision !== revision,
    isDeleting,
    // A VM that is not to run is not restarted.
    isRestarting: facts.isRestartRequested && runStrategy !== 'Halted',
    isChanging: (status.observedGeneration ?? 0) < metadata.generation,
    isEvicting: conditionOf(status, 'Evicting')?.status === 'True',
    isToLeave,
    isAway: ready?.status === 'Unknown',
    restartRequired: conditionOf(status, 'RestartRequired')?.status === 'True',
    step,
    lacksLivePart,
  };
}

function replacementOf(
  { replacement, status, now }: ReplicaFacts,
  ready: Condition | undefined,
): Pick<Judged, 'isToReplace' | 'replaceAt'> {
  const isFailing = (status.startFailure?.count ?? 0) >= (replacement?.startFailures ?? Number.POSITIVE_INFINITY);
  if (replacement === undefined || !isFailing || ready?.status !== 'False') return notReplaced;
  const time = dateOf(ready.lastTransitionTime) + replacement.milliseconds;
  return time <= now ? { isToReplace: true, replaceAt: undefined } : { isToReplace: false, replaceAt: time };
}

const notReplaced = { isToReplace: false, replaceAt: undefined };

function conditionOf({ conditions }: LinuxUtilityVMStatus, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Between the write of another run strategy and the report on it, the condition is about the former one. */
function isAsStrategySays(runStrategy: ReplicaFacts['runStrategy'], reason: string): boolean {
  return (runStrategy === 'Halted') === (reason === 'Halted');
}

function dateOf(time: string | undefined): number {
  const milliseconds = Date.parse(time ?? '');
  return Number.isNaN(milliseconds) ? 0 : milliseconds;
}
