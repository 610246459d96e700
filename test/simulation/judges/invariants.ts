// The invariants of docs/design.md §1 that hold at every instant, judged after each event and at each write.
import { finalizer } from '../../../crds/linux-utility-vm.ts';
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { judgeRoom } from './room.ts';

interface Known {
  readonly uid: string;
  observedGeneration: number;
}

export class Invariants {
  readonly #system: () => SimulatedSystem;
  /** By uid. */
  readonly #known = new Map<string, Known>();
  readonly #epochs = new Map<string, number>();
  #size = 0;

  constructor(system: () => SimulatedSystem) {
    this.#system = system;
  }

  /** After each event. */
  judge(): void {
    const system = this.#system();
    const { machines } = system;
    // Nothing is to be seen unless a system has come.
    const size = machines.reduce((sum, { host }) => sum + host.size, 0);
    const before = this.#size;
    this.#size = size;
    if (size <= before) return;
    const hosts = new Map<string, string>();
    for (const { host, name } of machines) {
      for (const uid of host.living().flatMap((system) => system.uid ?? [])) {
        const other = hosts.get(uid);
        hosts.set(uid, name);
        if (other !== undefined) throw new BrokenInvariant('one VM at most', `${uid} runs on ${other} and on ${name}`);
      }
    }
    judgeRoom(system);
  }

  /** At each write to the API server. */
  wrote({ after, before, kind, writer }: Write): void {
    if (kind === 'LinuxUtilityVMHost') this.#wroteHost(after, before);
    if (kind !== 'LinuxUtilityVM') return;
    if (after === undefined && before !== undefined) this.#removed(before, writer);
    if (after !== undefined) this.#wroteStatus(after);
  }

  /** An older state was restored: what is written may go back. */
  restored(): void {
    this.#known.clear();
    this.#epochs.clear();
  }

  #removed({ metadata }: StoredObject, writer: string): void {
    const { name, uid } = metadata;
    this.#known.delete(uid);
    for (const machine of this.#system().machines) {
      if (machine.host.living().some((system) => system.uid === uid)) {
        throw new BrokenInvariant(
          'the finalizer goes last',
          `${writer} removed ${finalizer} of ${name}, and the VM runs on ${machine.name}`,
        );
      }
    }
  }

  #wroteStatus({ metadata, status }: StoredObject): void {
    if (!isObject(status)) return;
    const { uid, name, generation = 0 } = metadata;
    const known = this.#known.get(uid) ?? { uid, observedGeneration: 0 };
    this.#known.set(uid, known);
    const observed = numberOf(status['observedGeneration']);
    if (observed > generation) {
      throw new BrokenInvariant(
        'status is of a stored generation',
        `${name} has ${generation}, and its status is of ${observed}`,
      );
    }
    if (observed < known.observedGeneration) {
      throw new BrokenInvariant(
        'status never goes back',
        `${name} goes from generation ${known.observedGeneration} to ${observed}`,
      );
    }
    known.observedGeneration = observed;
  }

  #wroteHost(after: StoredObject | undefined, before: StoredObject | undefined): void {
    if (after === undefined) {
      if (before !== undefined) this.#epochs.delete(before.metadata.uid);
      return;
    }
    const status = after['status'];
    const session = isObject(status) ? status['session'] : undefined;
    if (!isObject(session)) return;
    const epoch = numberOf(session['epoch']);
    const { uid, name } = after.metadata;
    const known = this.#epochs.get(uid) ?? 0;
    if (epoch < known) throw new BrokenInvariant('epochs only grow', `${name} goes from ${known} to ${epoch}`);
    this.#epochs.set(uid, epoch);
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
