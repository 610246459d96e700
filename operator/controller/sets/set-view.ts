// Judges all VMs of a set, and plans. Pure: what it knows comes from the objects, from the revisions and from the drains of
// hosts.
import { revisionLabel } from '../../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMSetSpec } from '../../../crds/linux-utility-vm-set.ts';
import type { SetTemplate } from '../../../crds/set/template.ts';
import { budgetOf, parallelOf, partitionOf } from '../../../sets/amounts.ts';
import {
  changeBetween,
  changeOfMachine,
  hasLiveFieldsOf,
  livePartOf,
  restartStep,
  type TemplateChange,
} from '../../../sets/changes.ts';
import { expanded } from '../../../sets/expansion.ts';
import { plan } from '../../../sets/plan.ts';
import type { Replacement } from '../../../sets/replica.ts';
import type { MachineSet, VirtualMachine } from '../../kubernetes/objects.ts';
import type { Members } from './ownership.ts';
import { type JudgedReplica, judgeReplica } from './replica.ts';
import type { Ensured } from './revision-store.ts';
import type { SetView } from './set-status.ts';

export interface ViewInputs {
  readonly set: MachineSet;
  readonly spec: LinuxUtilityVMSetSpec;
  readonly wanted: readonly number[];
  readonly members: Members;
  readonly revisions: Ensured;
  readonly isDeleted: (uid: string) => boolean;
  /** A drain of its host asks to take the VM away. */
  readonly isToLeave: (object: VirtualMachine) => boolean;
  /** How often the VM of an ordinal was replaced since one of them was available. */
  readonly replacementsOf: (ordinal: number) => number;
  readonly now: number;
}

/** A VM that is replaced again and again waits for a day at most. */
const longestSeconds = 86_400;

export class SetViews {
  readonly #inputs: ViewInputs;
  readonly #changes = new Map<string, TemplateChange>();

  constructor(inputs: ViewInputs) {
    this.#inputs = inputs;
  }

  get update(): { readonly name: string; readonly template: SetTemplate } {
    const { update } = this.#inputs.revisions;
    return { name: update.metadata.name, template: update.template ?? this.#inputs.spec.template };
  }

  view(): SetView {
    const { set, spec, wanted, members, revisions } = this.#inputs;
    const { update: settings, replicas: count, maxUnavailable } = spec;
    const replicas = members.own.map((member) => this.#judge(member.object, member.ordinal));
    const updateRevision = this.update.name;
    const { currentRevision: stored = updateRevision } = set.status;
    const isKnown = revisions.all.some(({ metadata }) => metadata.name === stored);
    const currentRevision = isKnown ? stored : updateRevision;
    const paused = settings.paused === true;
    const budget = budgetOf(maxUnavailable, count);
    return {
      replicas,
      wanted,
      taken: members.taken,
      plan: plan({
        wanted,
        replicas,
        taken: members.taken,
        type: settings.type,
        method: settings.method,
        paused,
        partition: partitionOf(settings.partition, count),
        maxParallelLive: parallelOf(settings.maxParallelLive, count),
        maxUnavailable: budget,
        currentRevision,
        updateRevision,
      }),
      maxUnavailable: budget,
      currentRevision,
      updateRevision,
      collisionCount: revisions.collisionCount,
      changed: this.#changeFrom(currentRevision)?.fields.map(({ path }) => path) ?? [],
      paused,
      progressDeadlineSeconds: settings.progressDeadlineSeconds,
    };
  }

  /** The template of a revision; undefined if it is not known. */
  template(revision: string): SetTemplate | undefined {
    if (revision === this.update.name) return this.update.template;
    return this.#inputs.revisions.all.find(({ metadata }) => metadata.name === revision)?.template;
  }

  /** The template of the VM's own revision, with what of the update revision a running VM takes. */
  livePartFor({ revision }: JudgedReplica): SetTemplate | undefined {
    const before = revision === undefined ? undefined : this.template(revision);
    const change = revision === undefined ? undefined : this.#changeFrom(revision);
    return before && change && livePartOf(before, this.update.template, change);
  }

  #judge(object: VirtualMachine, ordinal: number): JudgedReplica {
    const { isDeleted, isToLeave, spec, now } = this.#inputs;
    const change = this.#changeOf(object, ordinal);
    return judgeReplica({
      object,
      ordinal,
      isDeleted: isDeleted(object.metadata.uid),
      isToLeave: isToLeave(object),
      minReadySeconds: spec.minReadySeconds,
      replacement: this.#replacementOf(object, ordinal),
      now,
      step: change?.step,
      lacksLivePart: change !== undefined && this.#lacksLivePart(object, ordinal, change),
    });
  }

  /** A VM with a writable disk or share may have written what no other VM has. */
  #replacementOf({ spec }: VirtualMachine, ordinal: number): Replacement | undefined {
    const { replacement } = this.#inputs.spec;
    if (replacement === undefined || !spec.ok) return undefined;
    const { fileShares, storage } = spec.value;
    const onHost = [...(storage?.disks ?? []), ...(fileShares?.shares ?? [])];
    if (onHost.some(({ readOnly }) => !readOnly)) return undefined;
    const seconds = replacement.afterSeconds * 2 ** this.#inputs.replacementsOf(ordinal);
    return {
      startFailures: replacement.afterStartFailures,
      milliseconds: Math.min(seconds, longestSeconds) * 1_000,
    };
  }

  /** Undefined if the VM has the update revision. */
  #changeOf(object: VirtualMachine, ordinal: number): TemplateChange | undefined {
    const revision = object.metadata.labels?.[revisionLabel];
    if (revision === this.update.name) return undefined;
    const known = revision === undefined ? undefined : this.#changeFrom(revision);
    if (known !== undefined) return known;
    const { method } = this.#inputs.spec.update;
    if (object.spec.ok) return changeOfMachine(object.spec.value, this.#expandedFor(object, ordinal), method);
    return { fields: [], step: restartStep(method), hasLivePart: false };
  }

  #lacksLivePart(object: VirtualMachine, ordinal: number, change: TemplateChange): boolean {
    const revision = object.metadata.labels?.[revisionLabel];
    if (!change.hasLivePart || !object.spec.ok || revision === undefined) return false;
    if (this.template(revision) === undefined) return false;
    return !hasLiveFieldsOf(object.spec.value, this.#expandedFor(object, ordinal), change);
  }

  #expandedFor({ metadata: { name } }: VirtualMachine, ordinal: number): SetTemplate {
    return expanded(this.update.template, { name, ordinal });
  }

  /** From a revision to the update revision; undefined if the revision is not known. */
  #changeFrom(revision: string): TemplateChange | undefined {
    const known = this.#changes.get(revision);
    if (known !== undefined) return known;
    const before = this.template(revision);
    if (before === undefined) return undefined;
    const change = changeBetween(before, this.update.template, this.#inputs.spec.update.method);
    this.#changes.set(revision, change);
    return change;
  }
}
