// All hosts together: who may take a VM, and whether every one of them has said what it has.
import type { LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { Host, Node } from '../kubernetes/objects.ts';
import type { Departures } from './departures.ts';
import type { Inventory } from './inventory.ts';
import type { Lookup } from './lookup.ts';
import { type Candidate, needsOf, type Placement, type PlacementNeeds, place } from './placement.ts';
import { isOutOfService } from './taints.ts';
import type { Promised, VirtualMachines } from './virtual-machines.ts';

interface Assumption {
  readonly nodeName: string;
  readonly memoryInMB: number;
}

export class Fleet {
  readonly #hosts: Lookup<Host>;
  readonly #nodes: Lookup<Node>;
  readonly #inventory: Inventory;
  readonly #machines: VirtualMachines;
  readonly #departures: Departures;
  /** Placements that are being written, by uid. */
  readonly #assumed = new Map<string, Assumption>();

  constructor(
    hosts: Lookup<Host>,
    nodes: Lookup<Node>,
    inventory: Inventory,
    machines: VirtualMachines,
    departures: Departures,
  ) {
    this.#departures = departures;
    this.#hosts = hosts;
    this.#nodes = nodes;
    this.#inventory = inventory;
    this.#machines = machines;
  }

  /** A placement counts as promised memory from now until `settle`. */
  assume(uid: string, spec: LinuxUtilityVMSpec): Placement {
    const placement = place(this.#needs(uid, spec), this.#candidates());
    if (placement.placed) {
      this.#assumed.set(uid, { nodeName: placement.nodeName, memoryInMB: spec.memory.sizeInMB });
    }
    return placement;
  }

  /** Whether a host would take the VM now, in addition to what it has. */
  couldPlace(uid: string, spec: LinuxUtilityVMSpec): boolean {
    return place(this.#needs(uid, spec), this.#candidates()).placed;
  }

  /** The placement was written, and is counted with the VM from now on, or was not. */
  settle(uid: string): void {
    this.#assumed.delete(uid);
  }

  /** Known hosts that may have the VM for all we know: not connected, or not completely enumerated, and not fenced. */
  hostsThatMayHave(uid: string): readonly string[] {
    return [...this.#hosts.values()]
      .map(({ metadata }) => metadata.name)
      .filter((name) => this.#inventory.presence(name, uid) !== 'Absent' && !this.#isFenced(name))
      .sort();
  }

  #isFenced(nodeName: string): boolean {
    const node = this.#nodes.get(nodeName);
    return !this.#inventory.isConnected(nodeName) && node !== undefined && isOutOfService(node);
  }

  #needs(uid: string, spec: LinuxUtilityVMSpec): PlacementNeeds {
    return needsOf(spec, this.#departures.lackingFor(uid));
  }

  /** The same for every VM. */
  *#candidates(): Iterable<Candidate> {
    for (const host of this.#hosts.values()) {
      const { name } = host.metadata;
      const node = this.#nodes.get(name);
      yield {
        host,
        node,
        outlasted: (tolerations) => (node === undefined ? undefined : this.#departures.outlasted(node, tolerations)),
        connected: this.#inventory.isConnected(name),
        promised: this.#promisedTo(name),
      };
    }
  }

  #promisedTo(nodeName: string): Promised {
    let { memoryInMB, virtualMachines } = this.#machines.promisedTo(nodeName);
    for (const assumption of this.#assumed.values()) {
      if (assumption.nodeName !== nodeName) continue;
      memoryInMB += assumption.memoryInMB;
      virtualMachines += 1;
    }
    return { memoryInMB, virtualMachines };
  }
}
