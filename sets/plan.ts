// What a set does next (design §13): a pure function of what is wanted and of the VMs as they are. It remembers nothing,
// so a crash loses no intention. A VM counts as unavailable from the write that will take it away.
//
//   drains ──► VMs that were never ready at their revision (they cost no budget) ──► VMs that lost their readiness ──►
//   VMs that are available: changed while they run, or taken away within the budget
//
// A VM that was ready and no longer is, perhaps because its agent is upgraded, is changed only while no VM of the new
// revision is unavailable. So a bad revision never spreads beyond the budget.
import type { LinuxUtilityVMSetSpec } from '../crds/linux-utility-vm-set.ts';
import { restartStep, type Step } from './changes.ts';

/** One VM of the set, as the plan sees it. */
export interface Replica {
  readonly name: string;
  readonly ordinal: number;
  readonly revision: string | undefined;
  readonly isAvailable: boolean;
  /** It was ready since it got its present revision. */
  readonly wasReady: boolean;
  /** It was ready at an earlier revision. */
  readonly wasReadyBefore: boolean;
  readonly isDeleting: boolean;
  /** A restart was written, and its agent has not finished it. */
  readonly isRestarting: boolean;
  /** Its spec has a change that its agent has not followed. */
  readonly isChanging: boolean;
  /** A drain may take it from its host. */
  readonly isEvicting: boolean;
  /** A drain asks to take it from its host. */
  readonly isToLeave: boolean;
  /** Its host is not connected: nobody knows whether it runs. */
  readonly isAway: boolean;
  /** Its start fails again and again, and a new VM may take its place. */
  readonly isToReplace: boolean;
  readonly restartRequired: boolean;
  /** What it needs to get the update revision; undefined if it has it. */
  readonly step: Step | undefined;
  /** The part of its change that a running VM takes is still to be written. */
  readonly lacksLivePart: boolean;
}

export interface PlanInput {
  /** Ascending. */
  readonly wanted: readonly number[];
  readonly replicas: readonly Replica[];
  /** Wanted ordinals whose name another object has. */
  readonly taken: ReadonlySet<number>;
  readonly type: LinuxUtilityVMSetSpec['update']['type'];
  readonly method: LinuxUtilityVMSetSpec['update']['method'];
  readonly paused: boolean;
  /** So many of the lowest ordinals keep their revision. */
  readonly partition: number;
  readonly maxParallelLive: number;
  readonly maxUnavailable: number;
  readonly currentRevision: string;
  readonly updateRevision: string;
}

export type Action =
  | { readonly kind: 'Create'; readonly ordinal: number; readonly revision: string }
  | { readonly kind: 'Delete'; readonly name: string; readonly why: 'Unwanted' | 'Recreate' | 'Replace' }
  /** Writes the update revision; `restart`: the VM has to restart for it. */
  | { readonly kind: 'Update'; readonly name: string; readonly restart: boolean }
  /** Writes the part of the update revision that a running VM takes. */
  | { readonly kind: 'UpdateLivePart'; readonly name: string }
  /** Lets the drain of its host take the VM away. */
  | { readonly kind: 'Evict'; readonly name: string }
  /** The host is not drained any more. */
  | { readonly kind: 'Stay'; readonly name: string };

export interface Plan {
  readonly actions: readonly Action[];
  readonly disruptionsAllowed: number;
  /** VMs that type, partition and pause allow to have the update revision. */
  readonly allowed: ReadonlySet<number>;
  /** What the next step waits for; undefined if the plan is complete. */
  readonly waitingFor: string | undefined;
  /** VMs that need what the method of the set does not allow. */
  readonly refused: readonly string[];
}

export function plan(input: PlanInput): Plan {
  return new Planning(input).result();
}

/** Whether the action takes a VM away that may be available: such actions need a current view of all VMs. */
export function isDisruptive(action: Action): boolean {
  return action.kind === 'Evict' || (action.kind === 'Update' && action.restart) || isRecreation(action);
}

function isRecreation(action: Action): boolean {
  return action.kind === 'Delete' && action.why !== 'Unwanted';
}

class Planning {
  readonly #input: PlanInput;
  readonly #actions: Action[] = [];
  readonly #allowed: ReadonlySet<number>;
  /** Wanted VMs, the highest ordinal first. */
  readonly #replicas: readonly Replica[];
  readonly #disruptionsAllowed: number;
  #budget: number;
  #liveSlots: number;
  #unavailableNew: number;
  readonly #waiting: string[] = [];
  readonly #refused: string[] = [];

  constructor(input: PlanInput) {
    const { wanted, replicas, maxUnavailable, updateRevision, maxParallelLive } = input;
    this.#input = input;
    const isWanted = new Set(wanted);
    this.#replicas = replicas.filter(({ ordinal }) => isWanted.has(ordinal)).sort((a, b) => b.ordinal - a.ordinal);
    this.#allowed = allowedOrdinals(input);
    const available = this.#replicas.filter(isPresent).length;
    this.#budget = maxUnavailable - (wanted.length - available);
    this.#disruptionsAllowed = Math.max(0, this.#budget);
    this.#liveSlots = maxParallelLive - this.#replicas.filter((each) => isInLiveChange(each, updateRevision)).length;
    this.#unavailableNew = this.#replicas.filter((each) => each.revision === updateRevision && !isPresent(each)).length;
  }

  result(): Plan {
    this.#deleteUnwanted();
    this.#createMissing();
    for (const each of this.#replicas) this.#judgeDrain(each);
    for (const each of this.#replicas) this.#updateLeaving(each);
    for (const each of this.#updatable((one) => !isPresent(one) && !one.wasReady)) this.#update(each);
    for (const each of this.#updatable((one) => !isPresent(one) && one.wasReady)) this.#updateLost(each);
    for (const each of this.#updatable(isPresent)) this.#updateAvailable(each);
    this.#replaceFailing();
    return {
      actions: this.#actions,
      disruptionsAllowed: this.#disruptionsAllowed,
      allowed: this.#allowed,
      waitingFor: this.#waiting[0] ?? this.#unsettled(),
      refused: this.#refused,
    };
  }

  #deleteUnwanted(): void {
    const isWanted = new Set(this.#input.wanted);
    const unwanted = this.#input.replicas.filter(({ ordinal, isDeleting }) => !isWanted.has(ordinal) && !isDeleting);
    for (const { name } of [...unwanted].sort((a, b) => b.ordinal - a.ordinal)) {
      this.#actions.push({ kind: 'Delete', name, why: 'Unwanted' });
    }
  }

  #createMissing(): void {
    const { wanted, taken, replicas, updateRevision, currentRevision, type, paused } = this.#input;
    const existing = new Set(replicas.map(({ ordinal }) => ordinal));
    for (const [rank, ordinal] of wanted.entries()) {
      if (existing.has(ordinal) || taken.has(ordinal)) continue;
      const keeps = type === 'RollingUpdate' && (paused || rank < this.#input.partition);
      this.#actions.push({ kind: 'Create', ordinal, revision: keeps ? currentRevision : updateRevision });
    }
  }

  #judgeDrain(replica: Replica): void {
    const { name, isEvicting, isToLeave, isDeleting } = replica;
    if (isDeleting || isEvicting === isToLeave) return;
    if (isEvicting) {
      this.#actions.push({ kind: 'Stay', name });
      return;
    }
    if (isPresent(replica) && !this.#spend(replica)) return;
    this.#actions.push({ kind: 'Evict', name });
  }

  /** A VM that a drain takes away starts elsewhere with the update revision, and needs no second restart for it. */
  #updateLeaving(replica: Replica): void {
    const { name, step, isEvicting, isToLeave, isAway, isDeleting, ordinal } = replica;
    if (step === undefined || !isEvicting || !isToLeave || isDeleting || isAway) return;
    if (!this.#allowed.has(ordinal) || this.#stepOf(replica) === 'Refused' || this.#unavailableNew > 0) return;
    this.#unavailableNew += 1;
    if (step === 'Recreate') this.#actions.push({ kind: 'Delete', name, why: 'Recreate' });
    else this.#actions.push({ kind: 'Update', name, restart: false });
  }

  *#updatable(is: (replica: Replica) => boolean): Generator<Replica> {
    for (const each of this.#replicas) {
      if (!is(each) || !this.#allowed.has(each.ordinal) || !needsUpdate(each)) continue;
      if (each.isDeleting || each.isEvicting || each.isToLeave) continue;
      if (each.isAway) this.#waiting.push(`the host of ${each.name} is away`);
      else yield each;
    }
  }

  /** The VM is not available, so whatever is done with it costs nothing. */
  #update(replica: Replica): void {
    if (this.#isRefused(replica)) return;
    const { name } = replica;
    const step = this.#stepOf(replica);
    if (step === 'Recreate') this.#actions.push({ kind: 'Delete', name, why: 'Recreate' });
    else this.#actions.push({ kind: 'Update', name, restart: step === 'Restart' });
  }

  #updateLost(replica: Replica): void {
    if (replica.isRestarting) return;
    if (this.#unavailableNew > 0) {
      this.#waiting.push(`${replica.name} is not available, and waits until the VMs of the new revision are`);
      return;
    }
    this.#unavailableNew += 1;
    this.#update(replica);
  }

  #updateAvailable(replica: Replica): void {
    if (this.#isRefused(replica)) return;
    const { name, lacksLivePart } = replica;
    const step = this.#stepOf(replica);
    if (step === 'Live' || lacksLivePart) {
      if (!this.#takeLiveSlot(replica)) return;
      this.#actions.push(lacksLivePart ? { kind: 'UpdateLivePart', name } : { kind: 'Update', name, restart: false });
      return;
    }
    if (replica.isChanging) this.#waiting.push(`${name} is being changed`);
    if (replica.isChanging || !this.#spend(replica)) return;
    if (step === 'Recreate') this.#actions.push({ kind: 'Delete', name, why: 'Recreate' });
    else this.#actions.push({ kind: 'Update', name, restart: step === 'Restart' });
  }

  /** A VM whose start fails costs nothing when it goes. The budget bounds how many go at once. */
  #replaceFailing(): void {
    const changed = new Set(this.#actions.flatMap((action) => ('name' in action ? [action.name] : [])));
    let going = this.#replicas.filter(({ isDeleting }) => isDeleting).length;
    for (const { name, isToReplace, isDeleting, isToLeave, isEvicting, isAway } of this.#replicas) {
      if (!isToReplace || isDeleting || isToLeave || isEvicting || isAway || changed.has(name)) continue;
      if (going >= this.#input.maxUnavailable) {
        this.#waiting.push(`${name} is replaced once fewer VMs are being deleted (spec.maxUnavailable)`);
        return;
      }
      going += 1;
      this.#actions.push({ kind: 'Delete', name, why: 'Replace' });
    }
  }

  /** A VM that has the update revision and needs a restart: its host refused to change it while it ran. */
  #stepOf({ step }: Replica): Step {
    if (step !== undefined) return step;
    return restartStep(this.#input.method);
  }

  #isRefused(replica: Replica): boolean {
    if (this.#stepOf(replica) !== 'Refused') return false;
    this.#refused.push(replica.name);
    return true;
  }

  /** A VM that is being changed has a slot already: a bad change that takes long must not hold up its correction. */
  #takeLiveSlot({ name, isChanging }: Replica): boolean {
    if (isChanging) return true;
    if (this.#liveSlots <= 0) {
      this.#waiting.push(`${name} is changed once fewer VMs are being changed (spec.update.maxParallelLive)`);
      return false;
    }
    this.#liveSlots -= 1;
    return true;
  }

  #spend({ name }: Replica): boolean {
    if (this.#budget <= 0) {
      this.#waiting.push(`${name} waits until fewer VMs are unavailable (spec.maxUnavailable)`);
      return false;
    }
    this.#budget -= 1;
    return true;
  }

  /** The name of a VM that keeps the set from being as it is wanted. */
  #unsettled(): string | undefined {
    const { wanted, taken } = this.#input;
    const [name] = [...taken];
    if (name !== undefined) return `the name of the VM with ordinal ${name} is taken`;
    const away = this.#replicas.find((each) => !isPresent(each));
    if (away !== undefined) return `${away.name} is not available`;
    return this.#replicas.length < wanted.length ? 'VMs are made' : undefined;
  }
}

function allowedOrdinals({ wanted, type, paused, partition }: PlanInput): ReadonlySet<number> {
  if (type === 'OnDelete' || paused) return new Set();
  return new Set(wanted.slice(partition));
}

/** Available, and nothing was written that will take it away. */
export function isPresent({ isAvailable, isDeleting, isRestarting, isEvicting }: Replica): boolean {
  return isAvailable && !isDeleting && !isRestarting && !isEvicting;
}

function needsUpdate({ step, restartRequired, isChanging, isRestarting }: Replica): boolean {
  return step !== undefined || (restartRequired && !isChanging && !isRestarting);
}

/** It was changed while it ran, and has not been ready with the change. */
function isInLiveChange({ isChanging, revision, wasReady, wasReadyBefore }: Replica, updateRevision: string): boolean {
  return isChanging || (revision === updateRevision && !wasReady && wasReadyBefore);
}
