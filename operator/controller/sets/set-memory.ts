// What the operator remembers of a set between passes. None of it is needed for a decision to be right: it saves reads and
// writes.
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
  #written: MachineSet | undefined;
  #checked:
    | { readonly template: SetTemplate; readonly ordinals: string; readonly problem: string | undefined }
    | undefined;

  wrote(set: MachineSet): void {
    this.#written = set;
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
