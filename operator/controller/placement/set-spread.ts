// Counts where the other VMs of a VM's set are, for its placement. Placements that are being written count.
import { replacedOnAnnotation } from '../../../crds/linux-utility-vm.ts';
import { type TopologySpreadConstraint, usualSpread } from '../../../crds/linux-utility-vm-set.ts';
import type { MachineSet, Node } from '../../kubernetes/objects.ts';
import type { Lookup } from '../knowledge/lookup.ts';
import { setKeysOf } from '../knowledge/set-members.ts';
import type { VirtualMachines } from '../knowledge/virtual-machines.ts';
import { type CountedConstraint, countedIn, type Preference, preferenceOf } from './spread.ts';

export interface SetSpreadOptions {
  readonly machines: VirtualMachines;
  readonly nodes: Lookup<Node>;
  readonly sets: Lookup<MachineSet>;
  /** Hosts of VMs whose placement is being written. */
  readonly assumedHosts: (setKey: string) => Iterable<string>;
}

export interface Spread {
  /** Constraints that refuse hosts. */
  readonly strict: readonly CountedConstraint[];
  /** Undefined for a VM that belongs to no set. */
  readonly preference: Preference | undefined;
}

const unspread: Spread = { strict: [], preference: undefined };

export class SetSpread {
  readonly #options: SetSpreadOptions;

  constructor(options: SetSpreadOptions) {
    this.#options = options;
  }

  of(uid: string): Spread {
    const { machines, nodes } = this.#options;
    const object = machines.byUid(uid);
    const setKeys = this.setsOf(uid);
    if (object === undefined || setKeys.size === 0) return unspread;
    const strict: CountedConstraint[] = [];
    const all: CountedConstraint[] = [];
    for (const setKey of setKeys) {
      const hosts = this.#hostsOfOthers(setKey, uid);
      for (const constraint of this.#constraintsOf(setKey)) {
        const counted = countedIn(constraint, hosts, (nodeName) => nodes.get(nodeName)?.metadata.labels);
        all.push(counted);
        if (isStrict(constraint)) strict.push(counted);
      }
    }
    return { strict, preference: preferenceOf(all, object.metadata.annotations?.[replacedOnAnnotation]) };
  }

  setsOf(uid: string): ReadonlySet<string> {
    const object = this.#options.machines.byUid(uid);
    return object === undefined ? new Set() : setKeysOf(object.metadata);
  }

  /** A placement of a VM of the set may let another one be placed. */
  isStrict(setKey: string): boolean {
    return this.#constraintsOf(setKey).some(isStrict);
  }

  #constraintsOf(setKey: string): readonly TopologySpreadConstraint[] {
    const spec = this.#options.sets.get(setKey)?.spec;
    return spec?.ok === true ? spec.value.topologySpreadConstraints : usualSpread;
  }

  #hostsOfOthers(setKey: string, uid: string): ReadonlyMap<string, number> {
    const { machines, assumedHosts } = this.#options;
    const counts = new Map<string, number>();
    const count = (nodeName: string | undefined) => {
      if (nodeName !== undefined) counts.set(nodeName, (counts.get(nodeName) ?? 0) + 1);
    };
    for (const key of machines.membersOf(setKey)) {
      const other = machines.get(key);
      if (other?.metadata.uid !== uid) count(other?.status.nodeName);
    }
    for (const nodeName of assumedHosts(setKey)) count(nodeName);
    return counts;
  }
}

function isStrict({ whenUnsatisfiable }: TopologySpreadConstraint): boolean {
  return whenUnsatisfiable === 'DoNotSchedule';
}
