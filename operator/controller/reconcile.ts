// One pass over one LinuxUtilityVM: from what is stored, watched and reported to the next write or message. Level-triggered:
// every pass decides from scratch, and a pass that changes nothing writes nothing.
//
//   (adopt | place) → finalizer → status.nodeName → assign → status of what the agent reports → … → teardown
import type { LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { ObservedVirtualMachine } from '../../protocol/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import { done, type Result, soonest } from '../queue/result.ts';
import type { Hosts } from './hosts.ts';
import type { Agents, Told } from './instructions/agents.ts';
import { Instructions, obstacleOf, toldOf, type Wanted } from './instructions/instructions.ts';
import { hasReferences, type ReferenceReader, referencesValidMilliseconds } from './instructions/references.ts';
import { isPaused } from './knowledge/annotations.ts';
import type { Inventory } from './knowledge/inventory.ts';
import { LaterGenerations } from './knowledge/later-generations.ts';
import type { NodeStates } from './knowledge/node-state.ts';
import { holdsRoom, isActive, isStart, type Rest, reportedRest, wasDrained } from './knowledge/rest.ts';
import type { Restoration } from './knowledge/restoration.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import { Leaving } from './leaving.ts';
import { isHeld, MachineWrites } from './machine-writes.ts';
import type { Eviction, Evictions } from './placement/evictions.ts';
import type { Fleet } from './placement/fleet.ts';
import type { Relocation } from './relocation.ts';
import type { StartJudgement, Starts } from './starts.ts';
import { Obstacles } from './status/obstacles.ts';
import type { ReferencesVerdict, Scheduled, Verdict } from './status/status.ts';
import type { StatusWriter } from './status/status-writer.ts';
import type { Teardown } from './teardown.ts';
import { Unplaced } from './unplaced.ts';

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

/** Nobody reports these changes: a ConfigMap that appears, a Node that is gone for good. */
const recheck: Result = { kind: 'After', milliseconds: 15_000 };

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** By uid: the host whose agent this operator has told about the VM, until it knows that the VM has left. */
  readonly #told = new Map<string, string>();
  readonly #instructions: Instructions;
  readonly #obstacles: Obstacles;
  readonly #writes: MachineWrites;
  readonly #unplaced: Unplaced;
  readonly #leaving: Leaving;
  readonly #laterGenerations: LaterGenerations;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#obstacles = new Obstacles(options.clock);
    this.#instructions = new Instructions({ ...options, isHaltedByDrain: (object) => this.#isHaltedByDrain(object) });
    this.#writes = new MachineWrites(options);
    const shared = { ...options, writes: this.#writes, instructions: this.#instructions, obstacles: this.#obstacles };
    this.#unplaced = new Unplaced({ ...shared, toldHost: (uid) => this.#told.get(uid) });
    this.#leaving = new Leaving({ ...shared, left: (uid) => this.#told.delete(uid) });
    this.#laterGenerations = new LaterGenerations(options.client, options.restoration);
  }

  async reconcile(key: string): Promise<Result> {
    const object = this.#options.machines.get(key);
    if (object === undefined) return done;
    const result = await this.#pass(object);
    // Only a pass that failed leaves a placement whose write may have taken effect.
    if (result.kind !== 'Retry') this.#options.fleet.settle(object.metadata.uid);
    return result;
  }

  async #pass(object: VirtualMachine): Promise<Result> {
    const { deletionTimestamp } = object.metadata;
    const { nodeName } = object.status;
    if (nodeName !== undefined && !this.#options.hosts.mayWriteFor(nodeName)) return recheck;
    if (deletionTimestamp !== undefined)
      return this.#options.teardown.reconcile(object, () => this.#unplaced.mayHave(object));
    if (nodeName === undefined || isHeld(object)) return this.#keep(object);
    const held = await this.#writes.hold(object);
    return 'result' in held ? held.result : this.#keep(held);
  }

  /** Stores that the drain of its host may take the VM away, or that the drain is over. */
  async evict(object: VirtualMachine, evicting: Verdict | 'Over'): Promise<Result> {
    const { result } = await this.#writes.status(object, { evicting });
    return result;
  }

  /** The object is gone. */
  forget(uid: string): void {
    this.#told.delete(uid);
    this.#options.fleet.settle(uid);
    this.#unplaced.forget(uid);
    this.#laterGenerations.forget(uid);
    this.#instructions.forget(uid);
    this.#obstacles.forget(uid);
    this.#options.evictions.forget(uid);
    this.#options.starts.forget(uid);
  }

  /**
   * What the agent is sent about the VM when a session begins. Undefined for a VM that is moving to another host, or
   * that is to start and is not admitted: its host keeps it unchanged.
   */
  async desired(object: VirtualMachine): Promise<Told | undefined> {
    if (this.#isToldLater(object)) return undefined;
    const wanted = await this.#instructions.of(object);
    // Checked again, because another pass may have decided meanwhile to take the VM off its host.
    if (this.#isToldLater(object) || object.status.nodeName === undefined) return undefined;
    this.#told.set(object.metadata.uid, object.status.nodeName);
    return toldOf(wanted);
  }

  /** A VM at rest is not affected, nor is a paused one. */
  #isHaltedByDrain(object: VirtualMachine): boolean {
    return this.#eviction(object).kind === 'Halt' && !isPaused(object.metadata) && holdsRoom(object);
  }

  #isToldLater(object: VirtualMachine): boolean {
    if (this.#leaving.has(object.metadata.uid)) return true;
    return !isPaused(object.metadata) && (this.#eviction(object).kind === 'Move' || isStart(object));
  }

  async #keep(object: VirtualMachine): Promise<Result> {
    const nodeName = object.status.nodeName;
    if (nodeName === undefined) return this.#findHost(object);
    const { inventory } = this.#options;
    const { uid } = object.metadata;
    this.#unplaced.forget(uid);
    if (inventory.untilDisconnected(nodeName) === 0) return this.#leaving.whileDisconnected(object, nodeName);
    const observed = inventory.reportOf(nodeName, uid)?.observed;
    await this.#laterGenerations.look(object, nodeName, observed);
    const paused = isPaused(object.metadata);
    const eviction: Eviction = paused ? { kind: 'None' } : this.#eviction(object);
    if (eviction.kind === 'Move') return this.#leaving.relocate(object, nodeName, eviction.verdict);
    const wanted = await this.#instructions.of(object);
    const obstacle = paused ? undefined : this.#obstacles.judged(object, obstacleOf(object, wanted, observed));
    const judged = { eviction, obstacle };
    if (object.spec.ok && isStart(object) && !paused) {
      return this.#start(object, nodeName, object.spec.value, { ...judged, references: wanted.references });
    }
    return this.#instruct(object, nodeName, wanted, judged);
  }

  async #findHost(object: VirtualMachine): Promise<Result> {
    const found = await this.#unplaced.reconcile(object);
    return 'result' in found ? found.result : this.#keep(found);
  }

  /** Instructs the agent, and writes what it reports. */
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
    const { result } = await this.#writes.status(object, {
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
      write: (each, decided) => this.#writes.status(each, { ...decided, references }),
      tell: async (each) => this.#tell(each, nodeName, await this.#instructions.of(each)),
      move: (each, from, verdict) => this.#leaving.relocate(each, from, verdict),
      keep: (each) => this.#keep(each),
    });
  }

  #tell({ metadata }: VirtualMachine, nodeName: string, wanted: Wanted): void {
    this.#told.set(metadata.uid, nodeName);
    this.#instructions.tell(nodeName, wanted);
  }

  #eviction(object: VirtualMachine): Eviction {
    const { nodeName } = object.status;
    if (nodeName === undefined) return { kind: 'None' };
    const { evictions, fleet } = this.#options;
    return evictions.of(object, nodeName, (spec) => fleet.couldPlace(object.metadata.uid, spec));
  }
}

/**
 * Whether a drain keeps the VM stopped, or has stopped it for good. A VM that rests for another reason is as it should
 * be.
 */
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
  // The agent reports the VM as halted because the drain told it so, not because of its manifest.
  const isStillHalted = wasDrained(object.status) && observed?.conditions.some((each) => each.reason === 'Halted');
  return isStillHalted === true ? { reason, message: 'its host is no longer drained, so it may run again' } : undefined;
}

function afterwards(eviction: Eviction): Result {
  return eviction.kind === 'Later' ? { kind: 'After', milliseconds: eviction.milliseconds } : done;
}

function referred({ spec }: VirtualMachine): Result {
  if (!spec.ok || !hasReferences(spec.value)) return done;
  return { kind: 'After', milliseconds: referencesValidMilliseconds };
}

/** How the agent's report changes the room that the VM holds; undefined for no change. */
function reservation(
  object: VirtualMachine,
  nodeName: string,
  observed: ObservedVirtualMachine | undefined,
): (Scheduled & { readonly rest?: Rest }) | undefined {
  const rest = reportedRest(object, observed);
  if (rest !== undefined) {
    return { rest, reason: rest, message: `it rests on ${nodeName}, which keeps no room for it` };
  }
  if (holdsRoom(object) || observed === undefined || !isActive(observed)) return undefined;
  return { reason: 'Admitted', message: `it is running on ${nodeName} already` };
}
