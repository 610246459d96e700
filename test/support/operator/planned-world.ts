// A world of VMs for tests of a set's plan: it carries the plan's actions out, and a test lets VMs come up, fail and be
// drained. It checks at each step that the budget holds.

import { template as templateSchema } from '../../../crds/set/template.ts';
import { changeBetween, type Step } from '../../../sets/changes.ts';
import { type Action, type Plan, type PlanInput, plan, type Replica } from '../../../sets/plan.ts';

export type Settings = Pick<
  PlanInput,
  'type' | 'method' | 'paused' | 'partition' | 'maxParallelLive' | 'maxUnavailable'
>;

export const usual: Settings = {
  type: 'RollingUpdate',
  method: 'LiveOrRestart',
  paused: false,
  partition: 0,
  maxParallelLive: 100,
  maxUnavailable: 1,
};

/** How the VMs of a revision differ from those of the others, and whether they come up. */
export interface RevisionKind {
  readonly memoryInMB?: number;
  readonly kernelOptions?: string;
  readonly rack?: string;
  readonly runStrategy?: 'Always' | 'Halted';
  readonly isBad?: boolean;
}

export interface Machine {
  readonly ordinal: number;
  /** Another object than an earlier one of this name. */
  readonly uid: number;
  revision: string;
  readyRevision: string | undefined;
  isUp: boolean;
  restarts: number;
  isRestarting: boolean;
  isChanging: boolean;
  isDeleting: boolean;
  isAway: boolean;
  isToReplace: boolean;
  isToLeave: boolean;
  isEvicting: boolean;
  restartRequired: boolean;
}

export class PlannedWorld {
  readonly machines = new Map<number, Machine>();
  readonly taken = new Set<number>();
  readonly revisions: Record<string, RevisionKind> = { a: {} };
  settings: Settings;
  wanted: readonly number[];
  current = 'a';
  update = 'a';
  /** Violations of the budget. */
  readonly violations: string[] = [];
  /** Of VMs that were available, in order. */
  readonly disruptions: string[] = [];
  last: Plan | undefined;
  #uids = 0;

  constructor(replicas: number, settings: Partial<Settings> = {}) {
    this.settings = { ...usual, ...settings };
    this.wanted = Array.from({ length: replicas }, (_, ordinal) => ordinal);
  }

  /** With all VMs up at revision a. */
  static running(replicas: number, settings: Partial<Settings> = {}): PlannedWorld {
    const world = new PlannedWorld(replicas, settings);
    world.step();
    world.bringUp();
    return world;
  }

  roll(revision: string, kind: RevisionKind = {}): void {
    this.revisions[revision] = kind;
    this.update = revision;
  }

  machine(ordinal: number): Machine {
    const machine = this.machines.get(ordinal);
    if (machine === undefined) throw new Error(`no VM with ordinal ${ordinal}`);
    return machine;
  }

  get plan(): Plan {
    return plan(this.input);
  }

  get input(): PlanInput {
    return {
      ...this.settings,
      wanted: this.wanted,
      replicas: [...this.machines.values()].map((machine) => this.#replica(machine)),
      taken: this.taken,
      currentRevision: this.current,
      updateRevision: this.update,
    };
  }

  get unavailable(): number {
    return this.wanted.filter((ordinal) => !isPresent(this.machines.get(ordinal))).length;
  }

  /** Plans once, and carries everything out. */
  step(): readonly Action[] {
    const next = this.plan;
    this.last = next;
    for (const action of next.actions) this.#carryOut(action);
    if (next.actions.length === 0 && this.wanted.every((each) => this.machines.get(each)?.revision === this.update)) {
      this.current = this.update;
    }
    return next.actions;
  }

  /** Every agent does what it is told. A VM of a bad revision does not come up. */
  bringUp(is: (machine: Machine) => boolean = () => true): void {
    for (const machine of [...this.machines.values()].filter(is)) {
      if (machine.isAway) continue;
      if (machine.isDeleting) {
        this.machines.delete(machine.ordinal);
        continue;
      }
      this.#settle(machine);
    }
  }

  /** Until nothing happens any more. */
  settle(): void {
    for (let round = 0; round < 1_000; round += 1) {
      const before = JSON.stringify([...this.machines.values()]);
      this.step();
      this.bringUp();
      if (JSON.stringify([...this.machines.values()]) === before) return;
    }
    throw new Error('the plan never comes to rest');
  }

  #settle(machine: Machine): void {
    machine.isChanging = false;
    if (machine.isEvicting) Object.assign(machine, { isEvicting: false, isToLeave: false, restartRequired: false });
    machine.isRestarting = false;
    const isGood = this.revisions[machine.revision]?.isBad !== true;
    machine.isUp = isGood;
    if (isGood && !machine.restartRequired) machine.readyRevision = machine.revision;
  }

  #carryOut(action: Action): void {
    if (action.kind === 'Create') {
      this.#create(action.ordinal, action.revision);
      return;
    }
    const machine = this.machine(Number(action.name.slice(2)));
    if (isDisruption(action) && isPresent(machine)) {
      if (this.unavailable >= this.settings.maxUnavailable) {
        this.violations.push(`${action.kind} of ${action.name} while ${this.unavailable} were unavailable`);
      }
      this.disruptions.push(action.name);
    }
    this.#change(machine, action);
  }

  #change(machine: Machine, action: Exclude<Action, { kind: 'Create' }>): void {
    switch (action.kind) {
      case 'Delete':
        machine.isDeleting = true;
        return;
      case 'Evict':
        machine.isEvicting = true;
        machine.isUp = false;
        return;
      case 'Stay':
        machine.isEvicting = false;
        return;
      case 'UpdateLivePart':
        machine.isChanging = true;
        return;
      case 'Update':
        machine.revision = this.update;
        machine.isChanging = true;
        if (!action.restart) return;
        machine.isRestarting = true;
        machine.restartRequired = false;
        machine.restarts += 1;
    }
  }

  #create(ordinal: number, revision: string): void {
    this.#uids += 1;
    this.machines.set(ordinal, {
      ordinal,
      uid: this.#uids,
      revision,
      readyRevision: undefined,
      isUp: false,
      restarts: 0,
      isRestarting: false,
      isChanging: true,
      isDeleting: false,
      isAway: false,
      isToReplace: false,
      isToLeave: false,
      isEvicting: false,
      restartRequired: false,
    });
  }

  #replica(machine: Machine): Replica {
    const { ordinal, revision, readyRevision, isUp, isAway } = machine;
    return {
      ...machine,
      name: `x-${ordinal}`,
      revision,
      isAvailable: isUp && !isAway && !machine.isDeleting,
      wasReady: readyRevision === revision,
      wasReadyBefore: readyRevision !== undefined && readyRevision !== revision,
      step: this.#stepFrom(revision),
      lacksLivePart: false,
    };
  }

  #stepFrom(revision: string): Step | undefined {
    if (revision === this.update) return undefined;
    const [before, after] = [revision, this.update].map((each) => templateOf(this.revisions[each]));
    return before && after && changeBetween(before, after, this.settings.method).step;
  }
}

function templateOf({ memoryInMB, kernelOptions, rack, runStrategy }: RevisionKind = {}) {
  return templateSchema.parse({
    spec: {
      ...(memoryInMB !== undefined && { memory: { sizeInMB: memoryInMB } }),
      ...(kernelOptions !== undefined && { boot: { kernelOptions } }),
      ...(rack !== undefined && { nodeSelector: { rack } }),
      ...(runStrategy !== undefined && { runStrategy }),
    },
  });
}

function isPresent(machine: Machine | undefined): boolean {
  if (machine === undefined || !machine.isUp || machine.isAway) return false;
  return !machine.isDeleting && !machine.isRestarting && !machine.isEvicting;
}

function isDisruption(action: Action): boolean {
  if (action.kind === 'Delete') return action.why === 'Recreate';
  return action.kind === 'Evict' || (action.kind === 'Update' && action.restart);
}
