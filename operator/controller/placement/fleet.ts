// All hosts together: which of them could take a VM, and which may have it, according to the store and the reports.
import type { LinuxUtilityVMSpec } from '../../../crds/linux-utility-vm.ts';
import type { Host, MachineSet, Node, VirtualMachine } from '../../kubernetes/objects.ts';
import type { Inventory } from '../knowledge/inventory.ts';
import type { Lookup } from '../knowledge/lookup.ts';
import type { Restoration } from '../knowledge/restoration.ts';
import { setKeysOf } from '../knowledge/set-members.ts';
import { isOutOfService } from '../knowledge/taints.ts';
import type { Promised, VirtualMachines } from '../knowledge/virtual-machines.ts';
import type { Evictions } from './evictions.ts';
import { Judgements } from './judgements.ts';
import { type Candidate, needsOf, type Placement, type PlacementNeeds, place, refusalToTakeBack } from './placement.ts';
import { SetSpread } from './set-spread.ts';
import type { CountedConstraint, Preference } from './spread.ts';

interface Assumption {
  readonly nodeName: string;
  readonly memoryInMB: number;
  /** Keys of the sets that the VM belongs to. */
  readonly sets: ReadonlySet<string>;
}

export interface FleetOptions {
  readonly hosts: Lookup<Host>;
  readonly nodes: Lookup<Node>;
  readonly sets: Lookup<MachineSet>;
  readonly inventory: Inventory;
  readonly machines: VirtualMachines;
  readonly evictions: Evictions;
  readonly restoration: Restoration;
  /**
   * The time by which every earlier operator had stopped sending anything to agents; undefined when it is unknown
   * (`Term`).
   */
  readonly othersEndedBy?: number | undefined;
}

/** The verdict about a VM that a host has although its object has no host. `Undecided`: not enough is known. */
export type Claim =
  | { readonly kind: 'Accepted' }
  | { readonly kind: 'Undecided' }
  | { readonly kind: 'Refused'; readonly why: string };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #judgements = new Judgements((needs, preference) => place(needs, this.#candidates(), preference));
  readonly #spread: SetSpread;
  /** Placements that are being written, by uid. */
  readonly #assumed = new Map<string, Assumption>();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#spread = new SetSpread({ ...options, assumedHosts: (setKey) => this.#assumedHosts(setKey) });
  }

  /** Chooses a host. The placement counts as promised memory from now until `settle`. */
  assume(uid: string, spec: LinuxUtilityVMSpec): Placement {
    this.settle(uid); // what an earlier pass has assumed is not in this VM's own way
    const { strict, preference } = this.#spread.of(uid);
    return this.#assume(uid, this.#needs(uid, spec, strict), preference);
  }

  /** The same for a VM that starts on its current host. */
  assumeOn(nodeName: string, uid: string, spec: LinuxUtilityVMSpec): Placement {
    this.settle(uid);
    return this.#assume(uid, { ...needsOf(spec), nodeName, startsThere: true });
  }

  /** Whether some host would take the VM now, in addition to its present VMs. */
  couldPlace(uid: string, spec: LinuxUtilityVMSpec): boolean {
    return this.#judgements.of(this.#needs(uid, spec, this.#spread.of(uid).strict)).placed;
  }

  /** Milliseconds until a host that lacked resources for the VM is tried again; undefined if none did. */
  untilTriedAgain(uid: string): number | undefined {
    return this.#options.evictions.untilTriedAgain(uid);
  }

  couldPlaceBeside(nodeName: string, uid: string, spec: LinuxUtilityVMSpec): boolean {
    return this.#judgements.of(this.#needs(uid, spec, this.#spread.of(uid).strict, [nodeName])).placed;
  }

  /** The placement of this VM may let another VM of its set be placed. */
  isStrictlySpread({ metadata }: VirtualMachine): boolean {
    return [...setKeysOf(metadata)].some((setKey) => this.#spread.isStrict(setKey));
  }

  /** The placement was written, and counts with the VM from now on, or it was certainly not written. */
  settle(uid: string): void {
    if (this.#assumed.delete(uid)) this.roomMayHaveComeUp(); // the write may have failed
  }

  /** VMs that were refused are judged again. */
  roomMayHaveComeUp(): void {
    this.#judgements.roomMayHaveComeUp();
  }

  /**
   * Known hosts that may have a VM whose object has no host. `isNew`: this operator has seen the object without our
   * finalizer. Usually there are none: `nodeName` is stored before an agent learns of a VM, and cleared only once no
   * host has it, so a status that an operator wrote without a host is proof (docs/decisions/0013). It is also proof
   * that a session, or the term of every other operator, had ended before the VM was created. After a restore of the
   * cluster, none of this counts for objects from before it.
   */
  hostsThatMayHave(object: VirtualMachine, isNew: boolean): readonly string[] {
    const wentBack = this.#wentBackUnder(object);
    if (!wentBack && (isNew || isProvenUnplaced(object) || this.#hadNoOtherOperator(object))) return [];
    const { inventory, hosts } = this.#options;
    return [...hosts.values()]
      .filter((host) => wentBack || !hadEndedBefore(host, object) || inventory.isConnected(host.metadata.name))
      .map(({ metadata }) => metadata.name)
      .filter((name) => this.mayHave(name, object.metadata.uid))
      .sort();
  }

  /** Once every host has listed its VMs, the store is trusted again. */
  reviewRestoration(): void {
    const { hosts, inventory, restoration } = this.#options;
    if (restoration.pending === undefined) return;
    for (const { metadata } of hosts.values()) {
      if (!inventory.hasListed(metadata.name) && !this.#isFenced(metadata.name)) return;
    }
    restoration.settle();
  }

  /** Whether a VM without a host belongs to this host, which reports it. `node` is the Node as last read. */
  claim(nodeName: string, { spec, status }: VirtualMachine, node = this.#options.nodes.get(nodeName)): Claim {
    if (status.lastNodeName === nodeName) return { kind: 'Accepted' };
    const host = this.#options.hosts.get(nodeName);
    if (host === undefined || node === undefined || !spec.ok) return { kind: 'Undecided' };
    const why = refusalToTakeBack(needsOf(spec.value), this.#candidate(host, node));
    return why === undefined ? { kind: 'Accepted' } : { kind: 'Refused', why };
  }

  /** Whatever is stored: the host has not reported that it does not have the VM, and is not fenced. */
  mayHave(nodeName: string, uid: string): boolean {
    return this.#options.inventory.presence(nodeName, uid) !== 'Absent' && !this.#isFenced(nodeName);
  }

  /** Agents learn of VMs only from operators, and this operator knows which ones it has sent. */
  #hadNoOtherOperator({ metadata }: VirtualMachine): boolean {
    return createdAt(metadata) > (this.#options.othersEndedBy ?? Number.POSITIVE_INFINITY);
  }

  #wentBackUnder({ metadata }: VirtualMachine): boolean {
    const restored = this.#options.restoration.pending;
    if (restored === undefined) return false;
    this.reviewRestoration();
    if (this.#options.restoration.pending === undefined) return false;
    return !(createdAt(metadata) > (restored.at ?? Number.POSITIVE_INFINITY));
  }

  #isFenced(nodeName: string): boolean {
    const { nodes, inventory } = this.#options;
    const node = nodes.get(nodeName);
    return !inventory.isConnected(nodeName) && node !== undefined && isOutOfService(node);
  }

  #assume(uid: string, needs: PlacementNeeds, preference?: Preference): Placement {
    const placement = this.#judgements.of(needs, preference);
    if (placement.placed) {
      const sets = this.#spread.setsOf(uid);
      this.#assumed.set(uid, { nodeName: placement.nodeName, memoryInMB: needs.memoryInMB, sets });
    }
    return placement;
  }

  *#assumedHosts(setKey: string): Iterable<string> {
    for (const { sets, nodeName } of this.#assumed.values()) if (sets.has(setKey)) yield nodeName;
  }

  #needs(
    uid: string,
    spec: LinuxUtilityVMSpec,
    strict: readonly CountedConstraint[],
    exceptHosts: readonly string[] = [],
  ): PlacementNeeds {
    return needsOf(spec, [...exceptHosts, ...this.#options.evictions.lackingFor(uid)], strict);
  }

  /** The candidates are the same for every VM. */
  #candidates(): readonly Candidate[] {
    const { hosts, nodes } = this.#options;
    return [...hosts.values()].map((host) => this.#candidate(host, nodes.get(host.metadata.name)));
  }

  #candidate(host: Host, node: Node | undefined): Candidate {
    const { inventory, evictions } = this.#options;
    const { name } = host.metadata;
    return {
      host,
      node,
      outlasted: (tolerations) => (node === undefined ? undefined : evictions.outlasted(node, tolerations)),
      connected: inventory.isConnected(name),
      promised: this.#promisedTo(name),
    };
  }

  #promisedTo(nodeName: string): Promised {
    let { memoryInMB, virtualMachines } = this.#options.machines.promisedTo(nodeName);
    for (const assumption of this.#assumed.values()) {
      if (assumption.nodeName !== nodeName) continue;
      memoryInMB += assumption.memoryInMB;
      virtualMachines += 1;
    }
    return { memoryInMB, virtualMachines };
  }
}

/** An operator wrote the object's status, and wrote no host. */
export function isProvenUnplaced({ status }: VirtualMachine): boolean {
  return status.nodeName === undefined && (status.observedGeneration ?? 0) >= 1;
}

/**
 * The host's last session ended before the VM was created, or there was none. The end is judged 60 s after the session
 * was lost, so smaller differences between clocks do no harm.
 */
function hadEndedBefore(host: Host, { metadata }: VirtualMachine): boolean {
  const { session } = host.status;
  // A session is stored before its agent learns of a VM, so there was none since this record was created.
  if (session === undefined) return createdAt(metadata) >= createdAt(host.metadata);
  return createdAt(metadata) > Date.parse(session.endedAt ?? '');
}

function createdAt({ creationTimestamp }: VirtualMachine['metadata']): number {
  return Date.parse(creationTimestamp ?? '');
}
