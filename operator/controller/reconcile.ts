// One pass over one LinuxUtilityVM: from what is stored, watched and reported to the next write or message. Level-triggered:
// every pass decides from scratch, and a pass that changes nothing writes nothing.
//
//   (adopt | place) → finalizer → status.nodeName → assign → status of what the agent reports → … → teardown
import { finalizer, type LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { ObservedVirtualMachine } from '../../protocol/messages.ts';
import { reasons } from '../../protocol/reasons.ts';
import type { Clock } from '../../runtime/clock.ts';
import { essentialsOf, type VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import { done, type Result } from '../queue/work-queue.ts';
import type { Hosts } from './hosts.ts';
import type { Agents, Told } from './instructions/agents.ts';
import { Instructions, obstacleOf, toldOf, type Wanted } from './instructions/instructions.ts';
import { hasReferences, type ReferenceReader, referencesValidMilliseconds } from './instructions/references.ts';
import { isPaused } from './knowledge/annotations.ts';
import type { Inventory } from './knowledge/inventory.ts';
import type { NodeStates } from './knowledge/node-state.ts';
import {
  holdsRoom,
  isActive,
  isStart,
  type Rest,
  reportedRest,
  restWithoutHost,
  wasDrained,
} from './knowledge/rest.ts';
import { type Restoration, restoredAnnotation } from './knowledge/restoration.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import type { Eviction, Evictions } from './placement/evictions.ts';
import { type Fleet, isProvenUnplaced } from './placement/fleet.ts';
import type { Decided, Relocation, WriteStatus } from './relocation.ts';
import type { StartJudgement, Starts } from './starts.ts';
import { Obstacles } from './status/obstacles.ts';
import { nextStatus, type ReferencesVerdict, type Scheduled, scheduledVerdict, type Verdict } from './status/status.ts';
import type { StatusWriter, Written } from './status/status-writer.ts';
import type { Teardown } from './teardown.ts';

export interface ReconcilerOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly nodeStates: NodeStates;
  readonly hosts: Pick<Hosts, 'mayWriteFor'>;
  readonly references: ReferenceReader;
  readonly agents: Agents;
  readonly writer: StatusWriter;
  readonly teardown: Teardown;
  readonly evictions: Evictions;
  readonly relocation: Relocation;
  readonly starts: Starts;
  readonly restoration: Restoration;
  readonly clock: Clock;
}

/** What nobody tells us about: a ConfigMap that appears, a Node that is gone for good. */
const recheck: Result = { kind: 'After', milliseconds: 15_000 };

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** Uids that this operator was about to place, and that no agent has heard of. */
  readonly #neverPlaced = new Set<string>();
  /** Hosts whose agents this operator has told of a VM, by uid, until it knows that the VM has left. */
  readonly #told = new Map<string, string>();
  /** Uids that are being taken from their host: nobody is told of them meanwhile. */
  readonly #leaving = new Set<string>();
  /** The newest generations that agents claimed to know and the API server did not, by uid. */
  readonly #fromTheFuture = new Map<string, number>();
  readonly #instructions: Instructions;
  readonly #obstacles: Obstacles;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#obstacles = new Obstacles(options.clock);
    this.#instructions = new Instructions({ ...options, isHaltedByDrain: (object) => this.#isHaltedByDrain(object) });
  }

  async reconcile(key: string): Promise<Result> {
    const object = this.#options.machines.get(key);
    if (object === undefined) return done;
    const { deletionTimestamp } = object.metadata;
    const { nodeName } = object.status;
    if (nodeName !== undefined && !this.#options.hosts.mayWriteFor(nodeName)) return recheck;
    if (deletionTimestamp !== undefined) return this.#options.teardown.reconcile(object, () => this.#mayHave(object));
    if (nodeName === undefined || isHeld(object)) return this.#keep(object);
    const held = await this.#hold(object);
    return 'result' in held ? held.result : this.#keep(held);
  }

  /** The object is gone. */
  forget(uid: string): void {
    this.#neverPlaced.delete(uid);
    this.#told.delete(uid);
    this.#fromTheFuture.delete(uid);
    this.#instructions.forget(uid);
    this.#obstacles.forget(uid);
    this.#options.evictions.forget(uid);
    this.#options.starts.forget(uid);
  }

  /**
   * What its agent is told of it when a session begins. Undefined for a VM that is on its way to another host, or that starts
   * and is not admitted: its host keeps it as it is.
   */
  async desired(object: VirtualMachine): Promise<Told | undefined> {
    if (this.#isToldLater(object)) return undefined;
    const wanted = await this.#instructions.of(object);
    // Asked again, since another pass may have decided meanwhile to take it from its host.
    if (this.#isToldLater(object) || object.status.nodeName === undefined) return undefined;
    this.#told.set(object.metadata.uid, object.status.nodeName);
    return toldOf(wanted);
  }

  /** A VM at rest stays as it is, and one that is paused, too. */
  #isHaltedByDrain(object: VirtualMachine): boolean {
    return this.#eviction(object).kind === 'Halt' && !isPaused(object.metadata) && holdsRoom(object);
  }

  #isToldLater(object: VirtualMachine): boolean {
    if (this.#leaving.has(object.metadata.uid)) return true;
    return !isPaused(object.metadata) && (this.#eviction(object).kind === 'Move' || isStart(object));
  }

  /** The finalizer comes before the host, so that nothing is started that a deletion would not wait for. */
  async #hold(object: VirtualMachine): Promise<VirtualMachine | { readonly result: Result }> {
    if (isHeld(object)) return object;
    const { client, machines, writer } = this.#options;
    const outcome = await client.patchFinalizers(object, [...(object.metadata.finalizers ?? []), finalizer]);
    if (!outcome.ok) return { result: await writer.refused(object, outcome.error) };
    machines.remember(outcome.value);
    return outcome.value;
  }

  async #keep(object: VirtualMachine): Promise<Result> {
    const nodeName = object.status.nodeName;
    if (nodeName === undefined) return this.#findHost(object);
    const { inventory } = this.#options;
    const { uid } = object.metadata;
    this.#neverPlaced.delete(uid);
    if (inventory.untilDisconnected(nodeName) === 0) return this.#whileDisconnected(object, nodeName);
    const observed = inventory.reportOf(nodeName, uid)?.observed;
    await this.#lookForTheFuture(object, nodeName, observed);
    const isHeld = isPaused(object.metadata);
    const eviction: Eviction = isHeld ? { kind: 'None' } : this.#eviction(object);
    if (eviction.kind === 'Move') return this.#move(object, nodeName, eviction.verdict);
    const wanted = await this.#instructions.of(object);
    const obstacle = isHeld ? undefined : this.#obstacles.judged(object, obstacleOf(object, wanted, observed));
    const judged = { eviction, obstacle };
    if (object.spec.ok && isStart(object) && !isHeld) {
      return this.#start(object, nodeName, object.spec.value, { ...judged, references: wanted.references });
    }
    return this.#instruct(object, nodeName, wanted, judged);
  }

  /** Tells the agent, and what it reports. */
  async #instruct(
    object: VirtualMachine,
    nodeName: string,
    wanted: Wanted,
    { eviction, obstacle }: StartJudgement,
  ): Promise<Result> {
    const observed = this.#options.inventory.reportOf(nodeName, object.metadata.uid)?.observed;
    this.#tell(object, nodeName, wanted);
    const scheduled = reservation(object, nodeName, observed);
    const halted = haltOf(object, eviction, scheduled?.rest, observed);
    const { result } = await this.#write(object, {
      blocked: obstacle?.reason === 'ReferenceUnreadable' ? (halted ?? obstacle) : (obstacle ?? halted),
      references: wanted.references,
      ...(scheduled !== undefined && { scheduled }),
    });
    return [wanted.ok ? done : recheck, afterwards(eviction), referred(object)].reduce(soonest, result);
  }

  #start(
    object: VirtualMachine,
    nodeName: string,
    spec: LinuxUtilityVMSpec,
    { references, ...judged }: StartJudgement & { readonly references: ReferencesVerdict },
  ): Promise<Result> {
    return this.#options.starts.reconcile(object, nodeName, spec, judged, {
      write: (each, decided) => this.#write(each, { ...decided, references }),
      tell: async (each) => this.#tell(each, nodeName, await this.#instructions.of(each)),
      move: (each, from, verdict) => this.#move(each, from, verdict),
      keep: (each) => this.#keep(each),
    });
  }

  #tell({ metadata }: VirtualMachine, nodeName: string, wanted: Wanted): void {
    this.#told.set(metadata.uid, nodeName);
    this.#instructions.tell(nodeName, wanted);
  }

  /** An agent that knows a later generation than the API server has outlived a restore of the cluster. */
  async #lookForTheFuture(
    object: VirtualMachine,
    nodeName: string,
    observed: ObservedVirtualMachine | undefined,
  ): Promise<void> {
    const { client, restoration } = this.#options;
    const { uid, generation } = object.metadata;
    const reported = observed?.generation ?? 0;
    if (reported <= generation || reported <= (this.#fromTheFuture.get(uid) ?? 0)) return;
    this.#fromTheFuture.set(uid, reported);
    const live = await client.get(object.metadata); // the cache may be behind
    if (!live.ok || live.value.metadata.uid !== uid || live.value.metadata.generation >= reported) return;
    restoration.suspect(
      `the agent of ${nodeName} knows generation ${reported} of a VM of which ${generation} is stored`,
    );
  }

  async #move(object: VirtualMachine, nodeName: string, verdict: Verdict): Promise<Result> {
    const { uid } = object.metadata;
    const write: WriteStatus = (each, decided) => this.#write(each, decided);
    this.#leaving.add(uid);
    try {
      return await this.#options.relocation.reconcile(object, nodeName, verdict, write, () => this.#told.delete(uid));
    } finally {
      this.#leaving.delete(uid);
    }
  }

  #eviction(object: VirtualMachine): Eviction {
    const { nodeName } = object.status;
    if (nodeName === undefined) return { kind: 'None' };
    const { evictions, fleet } = this.#options;
    return evictions.of(object, nodeName, (spec) => fleet.couldPlace(object.metadata.uid, spec));
  }

  async #findHost(object: VirtualMachine): Promise<Result> {
    const taken = await this.#takeBack(object);
    if (taken !== undefined) return taken;
    const mayHave = this.#mayHave(object);
    const unproven = mayHave.length > 0;
    if (isPaused(object.metadata)) {
      return this.#unplaced(object, { reason: 'Paused', message: 'paused before it was placed' }, { unproven });
    }
    if (unproven) return soonest(await this.#unplaced(object, this.#inventoryPending(mayHave), { unproven }), recheck);
    const rest = restWithoutHost(object);
    if (rest !== undefined) {
      return this.#unplaced(object, { reason: rest, message: `${reasons[rest].text} It has no host.` }, { rest });
    }
    const wanted = await this.#instructions.of(object);
    if (!wanted.ok || !object.spec.ok) return this.#blocked(object, wanted);
    return this.#place(object, object.spec.value);
  }

  /** To the host that reports it, if it may be there. */
  async #takeBack(object: VirtualMachine): Promise<Result | undefined> {
    const { inventory, fleet, restoration } = this.#options;
    const { uid } = object.metadata;
    const { lastNodeName } = object.status;
    const accepted = inventory.holdersOf(uid).filter((name) => fleet.claim(name, object).kind === 'Accepted');
    const holder = accepted.find((name) => name === lastNodeName) ?? accepted[0];
    if (holder === undefined) return undefined;
    const wasProven = isProvenUnplaced(object) && holder !== lastNodeName;
    const message = `taken back to ${holder}, whose agent has it`;
    const written = await this.#settleOn(object, holder, { reason: 'Scheduled', message });
    if (written.object === undefined) return written.result;
    if (wasProven) restoration.suspect(`the agent of ${holder} has a VM that was stored without a host`);
    return this.#keep(written.object);
  }

  /** Hosts that must say first that they do not have a VM without a host. */
  #mayHave(object: VirtualMachine): readonly string[] {
    const { inventory, fleet } = this.#options;
    const { uid } = object.metadata;
    // Without our finalizer it was never placed, and costs no write but its status.
    const isNew = !isHeld(object) || this.#neverPlaced.has(uid) || this.#options.machines.isNew(uid);
    const others = fleet.hostsThatMayHave(object, isNew);
    // Somebody else took it from the host that we had told of it: what an earlier leader wrote may arrive late.
    const told = this.#told.get(uid);
    const undecided = inventory.holdersOf(uid).filter((name) => fleet.claim(name, object).kind === 'Undecided');
    const ours = told !== undefined && fleet.mayHave(told, uid) ? [told] : [];
    return [...new Set([...others, ...undecided, ...ours])].sort();
  }

  #inventoryPending(hosts: readonly string[]): Verdict {
    const names = hosts.slice(0, 3).join(', ');
    const { pending } = this.#options.restoration;
    const what = `it may be running already: ${hosts.length} hosts have not said that they do not have it, for example ${names}`;
    const lost = `a machine that is lost: delete its Node, or its LinuxUtilityVMHost if it has none, or taint it node.kubernetes.io/out-of-service`;
    const ways = `${lost}; a VM that is new, as from a manifest: take the finalizer ${finalizer} off it`;
    const restored =
      pending === undefined
        ? ''
        : `; the cluster may have been restored (${pending.why}): if it was not, take the annotation ${restoredAnnotation} off the Lease lcow-operator`;
    return { reason: 'InventoryPending', message: `${what}; ${ways}${restored}` };
  }

  async #place(object: VirtualMachine, spec: LinuxUtilityVMSpec): Promise<Result> {
    const { fleet } = this.#options;
    const placement = fleet.assume(object.metadata.uid, spec);
    if (!placement.placed) return this.#unplaced(object, placement);
    this.#neverPlaced.add(object.metadata.uid);
    const { nodeName } = placement;
    const message = spec.nodeName === undefined ? `placed on ${nodeName}` : `spec.nodeName is ${nodeName}`;
    const settled = this.#settleOn(object, nodeName, { reason: 'Scheduled', message });
    const written = await settled.finally(() => fleet.settle(object.metadata.uid));
    return written.object === undefined ? written.result : this.#keep(written.object);
  }

  /** The choice is stored before the agent hears of it. */
  async #settleOn(object: VirtualMachine, nodeName: string, scheduled: Scheduled): Promise<Written> {
    const held = await this.#hold(object);
    if ('result' in held) return { object: undefined, result: held.result };
    const written = await this.#write(held, { nodeName, scheduled });
    const isThere = written.object?.status.nodeName === nodeName;
    return isThere ? written : { object: undefined, result: written.result };
  }

  async #unplaced(
    object: VirtualMachine,
    scheduled: Scheduled,
    decided: Pick<Decided, 'rest' | 'unproven'> = {},
  ): Promise<Result> {
    return (await this.#write(object, { scheduled, ...decided })).result;
  }

  async #blocked(object: VirtualMachine, wanted: Wanted): Promise<Result> {
    const verdict = this.#obstacles.judged(object, wanted.ok ? undefined : wanted.verdict);
    const scheduled = { reason: verdict?.reason ?? 'InvalidSpec', message: 'not placed before it can be assigned' };
    const { result } = await this.#write(object, { scheduled, blocked: verdict, references: wanted.references });
    return soonest(result, recheck);
  }

  /** Its VMs stay with the host, unless the machine cannot run them any more: then they may be placed anew. */
  async #whileDisconnected(object: VirtualMachine, nodeName: string): Promise<Result> {
    const state = await this.#options.nodeStates.of(nodeName);
    const mayMove = state !== 'MayRun' && essentialsOf(object.spec).nodeName === undefined;
    if (!mayMove) {
      const { result } = await this.#write(object, {});
      return soonest(result, recheck);
    }
    const { uid } = object.metadata;
    if (this.#options.inventory.isConnected(nodeName)) return { kind: 'After', milliseconds: 0 };
    const why = state === 'Gone' ? 'is gone' : 'is out of service';
    const message = `node ${nodeName} ${why}; looking for another host`;
    this.#leaving.add(uid);
    try {
      const written = await this.#write(object, { nodeName: undefined, scheduled: { reason: 'NoHostFits', message } });
      if (written.object === undefined || written.object.status.nodeName !== undefined) {
        return soonest(written.result, recheck);
      }
      this.#told.delete(uid);
      return soonest(written.result, { kind: 'After', milliseconds: 0 });
    } finally {
      this.#leaving.delete(uid);
    }
  }

  #write(object: VirtualMachine, decided: Decided): Promise<Written> {
    const { inventory, clock, writer } = this.#options;
    const nodeName = 'nodeName' in decided ? decided.nodeName : object.status.nodeName;
    const next = nextStatus({
      object,
      nodeName,
      scheduled: decided.scheduled ?? scheduledVerdict(object, nodeName),
      report: nodeName === undefined ? undefined : inventory.reportOf(nodeName, object.metadata.uid),
      disconnected: nodeName !== undefined && inventory.untilDisconnected(nodeName) === 0,
      blocked: decided.blocked,
      references: decided.references,
      terminating: undefined,
      rest: decided.rest,
      end: leavingEnd(object, nodeName, inventory),
      unproven: decided.unproven === true,
      now: clock.now(),
    });
    return writer.write(object, next);
  }
}

function isHeld({ metadata }: VirtualMachine): boolean {
  return metadata.finalizers?.includes(finalizer) === true;
}

/** A drain keeps it stopped, or has stopped it for good. One that rests anyway is as it is to be. */
function haltOf(
  object: VirtualMachine,
  eviction: Eviction,
  rest: Rest | undefined,
  observed: ObservedVirtualMachine | undefined,
): Verdict | undefined {
  const reason = 'HostDrained';
  if (rest === reason) {
    const message = 'it was stopped when its host was drained, and its run strategy does not start it again';
    return { reason, message, isLasting: true };
  }
  if (rest !== undefined) return undefined;
  if (eviction.kind === 'Halt') return eviction.verdict;
  // That it is halted is what it was told by the drain, and not what its manifest asks for.
  const isStillHalted = wasDrained(object.status) && observed?.conditions.some((each) => each.reason === 'Halted');
  return isStillHalted === true ? { reason, message: 'its host is not drained any more; it is to go on' } : undefined;
}

function afterwards(eviction: Eviction): Result {
  return eviction.kind === 'Later' ? { kind: 'After', milliseconds: eviction.milliseconds } : done;
}

function referred({ spec }: VirtualMachine): Result {
  if (!spec.ok || !hasReferences(spec.value)) return done;
  return { kind: 'After', milliseconds: referencesValidMilliseconds };
}

/** What its host said of its end, and may not have been written before the VM was gone. */
function leavingEnd({ metadata, status }: VirtualMachine, nodeName: string | undefined, inventory: Inventory) {
  const left = nodeName === undefined ? status.nodeName : undefined;
  return left === undefined ? undefined : inventory.endOf(left, metadata.uid);
}

/** What the report of an agent changes about the room that the VM holds; undefined for nothing. */
function reservation(
  object: VirtualMachine,
  nodeName: string,
  observed: ObservedVirtualMachine | undefined,
): (Scheduled & { readonly rest?: Rest }) | undefined {
  const rest = reportedRest(object, observed);
  if (rest !== undefined) {
    return { rest, reason: rest, message: `it rests on ${nodeName}, where no room is kept for it` };
  }
  if (holdsRoom(object) || observed === undefined || !isActive(observed)) return undefined;
  return { reason: 'Admitted', message: `it is running on ${nodeName} already` };
}

function soonest(result: Result, other: Result): Result {
  if (result.kind === 'Retry' || other.kind === 'Done') return result;
  if (result.kind === 'Done' || other.kind === 'Retry') return other;
  // The pass at low priority says itself when to look again.
  if (result.kind === 'AtLowPriority' || other.kind === 'AtLowPriority') return { kind: 'AtLowPriority' };
  return result.milliseconds <= other.milliseconds ? result : other;
}
