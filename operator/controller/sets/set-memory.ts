// What the operator remembers of a set between passes. None of it is needed for a decision to be right: it saves reads and
// writes, and spaces the replacements of a VM.
import type { SetTemplate } from '../../../crds/set/template.ts';
import { templateProblem } from '../../../sets/expansion.ts';
import type { MachineSet } from '../../kubernetes/objects.ts';
import { isOlder } from '../../kubernetes/watch.ts';
import type { SetVerdict } from './set-status.ts';

export class SetMemory {
  passedAt = Number.NEGATIVE_INFINITY;
  statusWrittenAt = Number.NEGATIVE_INFINITY;
  /** All VMs of the set were read live in this term, and no write has failed since. */
  hasReadMembers = false;
  /** Why the API server refused VMs of a revision, and when. */
  refusal: { readonly revision: string; readonly at: number; readonly verdict: SetVerdict } | undefined;
  /** By ordinal: replacements since a VM of it was available. At most one entry for each ordinal of the set. */
  readonly #replacements = new Map<number, { readonly count: number; readonly nodeName: string | undefined }>();
  #written: MachineSet | undefined;
  #checked:
    | { readonly template: SetTemplate; readonly ordinals: string; readonly problem: string | undefined }
    | undefined;

  wrote(set: MachineSet): void {
    this.#written = set;
  }

  replacementsOf(ordinal: number): number {
    return this.#replacements.get(ordinal)?.count ?? 0;
  }

  /** The host on which the VM of this ordinal could not start. */
  replacedOn(ordinal: number): string | undefined {
    return this.#replacements.get(ordinal)?.nodeName;
  }

  replaced(ordinal: number, nodeName: string | undefined): void {
    this.#replacements.set(ordinal, { count: this.replacementsOf(ordinal) + 1, nodeName });
  }

  /** Ordinals that are available, or not wanted any more, begin anew. */
  reviewReplacements(wanted: readonly number[], available: ReadonlySet<number>): void {
    if (this.#replacements.size === 0) return;
    const isWanted = new Set(wanted);
    for (const ordinal of this.#replacements.keys()) {
      if (available.has(ordinal) || !isWanted.has(ordinal)) this.#replacements.delete(ordinal);
    }
  }

  /** The newer one of the cached object and the answer to our last write. */
  newest(cached: MachineSet): MachineSet {
    const own = this.#written;
    if (own === undefined || own.metadata.uid !== cached.metadata.uid) return cached;
    return isOlder(cached.metadata.resourceVersion, own.metadata.resourceVersion) ? own : cached;
  }

  /** Checks each template once for the same ordinals. */
  problemOf(template: SetTemplate, set: string, ordinals: readonly number[]): string | undefined {
    const key = `${ordinals.length}:${ordinals[0] ?? ''}:${ordinals.at(-1) ?? ''}`;
    if (this.#checked?.template === template && this.#checked.ordinals === key) return this.#checked.problem;
    const problem = templateProblem(template, set, ordinals);
    this.#checked = { template, ordinals: key, problem };
    return problem;
  }
}
