// One VM of a set as the plan sees it, from its object alone: the plan relies on nothing that a new leader does not know.
import { restartedAtAnnotation, revisionLabel } from '../../../crds/linux-utility-vm.ts';
import { essentialsOf, type VirtualMachine } from '../../kubernetes/objects.ts';
import { isRestartRequested } from '../knowledge/annotations.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import type { Step } from './changes.ts';
import type { Replica } from './plan.ts';

export interface ReplicaFacts {
  readonly object: VirtualMachine;
  readonly ordinal: number;
  /** A deletion was written that the cache may not show. */
  readonly isDeleted: boolean;
  readonly isToLeave: boolean;
  readonly minReadySeconds: number;
  readonly now: number;
  readonly step: Step | undefined;
  readonly lacksLivePart: boolean;
}

export interface JudgedReplica extends Replica {
  readonly object: VirtualMachine;
  readonly isReady: boolean;
  /** When it will have been ready for long enough, if it is ready and has not. */
  readonly availableAt: number | undefined;
}

export function judgeReplica(facts: ReplicaFacts): JudgedReplica {
  const { object, ordinal, isDeleted, isToLeave, step, lacksLivePart, now } = facts;
  const { metadata, status } = object;
  const revision = metadata.labels?.[revisionLabel];
  const isDeleting = isDeleted || metadata.deletionTimestamp !== undefined;
  const ready = conditionOf(status.conditions, 'Ready');
  const isReady = !isDeleting && ready?.status === 'True' && isAsStrategySays(object, ready.reason);
  const since = Math.max(dateOf(ready?.lastTransitionTime), dateOf(status.startTime));
  const availableAt = since + facts.minReadySeconds * 1_000;
  const { readyRevision } = status;
  return {
    object,
    name: metadata.name,
    ordinal,
    revision,
    isReady,
    isAvailable: isReady && (facts.minReadySeconds === 0 || availableAt <= now),
    availableAt: isReady && availableAt > now ? availableAt : undefined,
    // A VM that was not made by a set shows that it was up by its start.
    wasReady: revision === undefined ? status.startTime !== undefined : readyRevision === revision,
    wasReadyBefore: readyRevision !== undefined && readyRevision !== revision,
    isDeleting,
    isRestarting: isRestarting(object),
    isChanging: (status.observedGeneration ?? 0) < metadata.generation,
    isEvicting: conditionOf(status.conditions, 'Evicting')?.status === 'True',
    isToLeave,
    isAway: ready?.status === 'Unknown',
    restartRequired: conditionOf(status.conditions, 'RestartRequired')?.status === 'True',
    step,
    lacksLivePart,
  };
}

/** It has the update revision in all parts. */
export function isUpdated({ step, isChanging, isRestarting, restartRequired, isDeleting }: Replica): boolean {
  return step === undefined && !isChanging && !isRestarting && !restartRequired && !isDeleting;
}

/** Between the write of another run strategy and the report on it, the condition is about the former one. */
function isAsStrategySays({ spec }: VirtualMachine, reason: string): boolean {
  return (essentialsOf(spec).runStrategy === 'Halted') === (reason === 'Halted');
}

/** A VM that is not to run is not restarted. */
function isRestarting({ metadata, spec, status }: VirtualMachine): boolean {
  if (metadata.annotations?.[restartedAtAnnotation] === undefined || essentialsOf(spec).runStrategy === 'Halted') {
    return false;
  }
  return isRestartRequested(metadata, status);
}

function dateOf(time: string | undefined): number {
  const milliseconds = Date.parse(time ?? '');
  return Number.isNaN(milliseconds) ? 0 : milliseconds;
}
