// One pass over one LinuxUtilityVM: from what is stored, watched and reported to the next write or message. Level-triggered:
// every pass decides from scratch, and a pass that changes nothing writes nothing.
//
//   (adopt | place) → finalizer → status.nodeName → assign → status of what the agent reports → … → teardown
import { finalizer, type LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { Agents, DesiredMachine } from './agents.ts';
import { isPaused, RecentAssignments } from './assignment.ts';
import type { Departure, Departures } from './departures.ts';
import type { Fleet } from './fleet.ts';
import type { Hosts } from './hosts.ts';
import type { Inventory } from './inventory.ts';
import type { NodeFates } from './node-fate.ts';
import { done, type Result } from './queue.ts';
import { hasReferences, type ReferenceReader, referencesValidMilliseconds } from './references.ts';
import type { Relocation, WriteStatus } from './relocation.ts';
import { nextStatus, type StatusInputs, scheduledVerdict, type Verdict } from './status.ts';
import type { StatusWriter, Written } from './status-writer.ts';
import type { Teardown } from './teardown.ts';
import type { VirtualMachines } from './virtual-machines.ts';

export interface ReconcilerOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly fates: NodeFates;
  readonly hosts: Pick<Hosts, 'mayWriteFor'>;
  readonly references: ReferenceReader;
  readonly agents: Agents;
  readonly writer: StatusWriter;
  readonly teardown: Teardown;
  readonly departures: Departures;
  readonly relocation: Relocation;
  readonly clock: Clock;
}

export type Wanted =
  | { readonly ok: true; readonly desired: DesiredMachine }
  | { readonly ok: false; readonly verdict: Verdict };

/** What nobody tells us about: a ConfigMap that appears, a Node that is gone for good. */
const recheck: Result = { kind: 'After', milliseconds: 15_000 };

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** Uids that got their finalizer from this operator and no host yet, or left theirs: no agent can know of them. */
  readonly #neverPlaced = new Set<string>();
  readonly #assignments = new RecentAssignments();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(key: string): Promise<Result> {
    const object = this.#options.machines.get(key);
    if (object === undefined) return done;
    const { uid, deletionTimestamp } = object.metadata;
    const { nodeName } = object.status;
    if (nodeName !== undefined && !this.#options.hosts.mayWriteFor(nodeName)) return recheck;
    if (deletionTimestamp !== undefined) return this.#options.teardown.reconcile(object, this.#neverPlaced.has(uid));
    if (nodeName === undefined || isHeld(object)) return this.#keep(object);
    const held = await this.#hold(object);
    return 'result' in held ? held.result : this.#keep(held);
  }

  /** The object is gone. */
  forget(uid: string): void {
    this.#neverPlaced.delete(uid);
    this.#assignments.forget(uid);
    this.#options.departures.forget(uid);
  }

  /** What its agent is to be told of a VM; also used for the whole desired state at the start of a session. */
  async wanted(object: VirtualMachine): Promise<Wanted> {
    if (!object.spec.ok) return { ok: false, verdict: { reason: 'InvalidSpec', message: object.spec.message } };
    const spec = object.spec.value;
    const references = await this.#options.references.read(object.metadata.namespace ?? '', spec);
    if (!references.ok) return references;
    const halted = this.#departure(object).kind === 'Halt' && !isPaused(object.metadata);
    const desired = this.#assignments.desired(object, spec, references, halted ? 'Halted' : spec.runStrategy);
    if (desired !== undefined) return { ok: true, desired };
    return {
      ok: false,
      verdict: { reason: 'InvalidOptions', message: 'the options are too large to be sent to an agent' },
    };
  }

  /** Whether it is on its way to another host: its agent is not told of it anew. */
  isMoving(object: VirtualMachine): boolean {
    return this.#departure(object).kind === 'Move' && !isPaused(object.metadata);
  }

  /** The finalizer comes before the host, so that nothing is started that a deletion would not wait for. */
  async #hold(object: VirtualMachine): Promise<VirtualMachine | { readonly result: Result }> {
    if (isHeld(object)) return object;
    const { client, machines, writer } = this.#options;
    const outcome = await client.patchFinalizers(object, [...(object.metadata.finalizers ?? []), finalizer]);
    if (!outcome.ok) return { result: await writer.refused(object, outcome.error) };
    machines.remember(outcome.value);
    if (outcome.value.status.nodeName === undefined) this.#neverPlaced.add(outcome.value.metadata.uid);
    return outcome.value;
  }

  async #keep(object: VirtualMachine): Promise<Result> {
    const nodeName = object.status.nodeName;
    if (nodeName === undefined) return this.#findHost(object);
    this.#neverPlaced.delete(object.metadata.uid);
    if (this.#options.inventory.untilDisconnected(nodeName) === 0) return this.#whileDisconnected(object, nodeName);
    const departure: Departure = isPaused(object.metadata) ? { kind: 'None' } : this.#departure(object);
    if (departure.kind === 'Move') return this.#move(object, nodeName, departure.verdict);
    const wanted = await this.wanted(object);
    if (wanted.ok) this.#options.agents.assign(nodeName, wanted.desired);
    const halted = departure.kind === 'Halt' ? departure.verdict : undefined;
    const { result } = await this.#write(object, { blocked: wanted.ok ? halted : wanted.verdict });
    return [wanted.ok ? done : recheck, afterwards(departure), referred(object)].reduce(soonest, result);
  }

  #move(object: VirtualMachine, nodeName: string, verdict: Verdict): Promise<Result> {
    const write: WriteStatus = (each, decided) => this.#write(each, decided);
    const left = (uid: string) => this.#neverPlaced.add(uid);
    return this.#options.relocation.reconcile(object, nodeName, verdict, write, left);
  }

  #departure(object: VirtualMachine): Departure {
    const { nodeName } = object.status;
    if (nodeName === undefined) return { kind: 'None' };
    const { departures, fleet } = this.#options;
    return departures.of(object, nodeName, (spec) => fleet.couldPlace(object.metadata.uid, spec));
  }

  async #findHost(object: VirtualMachine): Promise<Result> {
    const { uid } = object.metadata;
    const holder = this.#options.inventory.holdersOf(uid)[0];
    if (holder !== undefined) {
      const scheduled = { reason: 'Scheduled', message: `taken back to ${holder}, whose agent has it` };
      return this.#settleOn(object, holder, scheduled);
    }
    if (isPaused(object.metadata))
      return this.#unplaced(object, { reason: 'Paused', message: 'paused before it was placed' });
    // Without our finalizer it was never placed, and costs no write but its status.
    const isNew = !isHeld(object) || this.#neverPlaced.has(uid);
    const unsure = isNew ? [] : this.#options.fleet.hostsThatMayHave(uid);
    if (unsure.length > 0) return this.#unplaced(object, inventoryPending(unsure));
    const wanted = await this.wanted(object);
    if (!wanted.ok || !object.spec.ok) return this.#blocked(object, wanted);
    return this.#place(object, object.spec.value);
  }

  async #place(object: VirtualMachine, spec: LinuxUtilityVMSpec): Promise<Result> {
    const { fleet } = this.#options;
    const placement = fleet.assume(object.metadata.uid, spec);
    if (!placement.placed) return this.#unplaced(object, placement);
    try {
      const { nodeName } = placement;
      const message = spec.nodeName === undefined ? `placed on ${nodeName}` : `spec.nodeName is ${nodeName}`;
      return await this.#settleOn(object, nodeName, { reason: 'Scheduled', message });
    } finally {
      fleet.settle(object.metadata.uid);
    }
  }

  /** The choice is stored before the agent hears of it. */
  async #settleOn(object: VirtualMachine, nodeName: string, scheduled: StatusInputs['scheduled']): Promise<Result> {
    const held = await this.#hold(object);
    if ('result' in held) return held.result;
    const written = await this.#write(held, { nodeName, scheduled });
    if (written.object?.status.nodeName !== nodeName) return written.result;
    return this.#keep(written.object);
  }

  async #unplaced(object: VirtualMachine, scheduled: Pick<Verdict, 'reason' | 'message'>): Promise<Result> {
    return (await this.#write(object, { scheduled })).result;
  }

  async #blocked(object: VirtualMachine, wanted: Wanted): Promise<Result> {
    const verdict = wanted.ok ? undefined : wanted.verdict;
    const scheduled = { reason: verdict?.reason ?? 'InvalidSpec', message: 'not placed before it can be assigned' };
    const { result } = await this.#write(object, { scheduled, blocked: verdict });
    return soonest(result, recheck);
  }

  /** Its VMs stay with the host, unless the machine cannot run them any more: then they may be placed anew. */
  async #whileDisconnected(object: VirtualMachine, nodeName: string): Promise<Result> {
    const fate = await this.#options.fates.of(nodeName);
    const mayMove = fate !== 'MayRun' && object.spec.ok && object.spec.value.nodeName === undefined;
    if (!mayMove) {
      const { result } = await this.#write(object, {});
      return soonest(result, recheck);
    }
    const why = fate === 'Gone' ? 'is gone' : 'is out of service';
    const written = await this.#write(object, {
      nodeName: undefined,
      scheduled: { reason: 'NoHostFits', message: `node ${nodeName} ${why}; looking for another host` },
    });
    if (written.object !== undefined) this.#neverPlaced.add(object.metadata.uid);
    return soonest(written.result, { kind: 'After', milliseconds: 0 });
  }

  #write(
    object: VirtualMachine,
    decided: Partial<Pick<StatusInputs, 'nodeName' | 'scheduled' | 'blocked'>>,
  ): Promise<Written> {
    const { inventory, clock, writer } = this.#options;
    const nodeName = 'nodeName' in decided ? decided.nodeName : object.status.nodeName;
    const next = nextStatus({
      object,
      nodeName,
      scheduled: decided.scheduled ?? scheduledVerdict(object, nodeName),
      report: nodeName === undefined ? undefined : inventory.reportOf(nodeName, object.metadata.uid),
      disconnected: nodeName !== undefined && inventory.untilDisconnected(nodeName) === 0,
      blocked: decided.blocked,
      terminating: undefined,
      now: clock.now(),
    });
    return writer.write(object, next);
  }
}

function isHeld({ metadata }: VirtualMachine): boolean {
  return metadata.finalizers?.includes(finalizer) === true;
}

function afterwards(departure: Departure): Result {
  return departure.kind === 'Later' ? { kind: 'After', milliseconds: departure.milliseconds } : done;
}

function referred({ spec }: VirtualMachine): Result {
  if (!spec.ok || !hasReferences(spec.value)) return done;
  return { kind: 'After', milliseconds: referencesValidMilliseconds };
}

function inventoryPending(hosts: readonly string[]): Verdict {
  const names = hosts.slice(0, 3).join(', ');
  return {
    reason: 'InventoryPending',
    message: `it may run already: ${hosts.length} hosts have not yet listed their VMs, for example ${names}`,
  };
}

function soonest(result: Result, other: Result): Result {
  if (result.kind === 'Retry' || other.kind === 'Done') return result;
  if (result.kind === 'Done' || other.kind === 'Retry') return other;
  // The pass at low priority says itself when to look again.
  if (result.kind === 'AtLowPriority' || other.kind === 'AtLowPriority') return { kind: 'AtLowPriority' };
  return result.milliseconds <= other.milliseconds ? result : other;
}
