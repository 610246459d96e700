// A VM that is to run once is said to run once, whatever happens to its host, its agent and the operator. A boot that
// its agent did not see complete is no run, and is tried again.
import { restartedAtAnnotation } from '../../../crds/names.ts';
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';

export class SingleRuns {
  /** By uid: the address of the running VM. */
  readonly #running = new Map<string, unknown>();
  /** VMs that somebody has asked to run more than once. */
  readonly #asked = new Set<string>();

  /** At each write to the API server. */
  wrote({ after, kind }: Write): void {
    if (kind !== 'LinuxUtilityVM' || after === undefined) return;
    const { name, uid } = after.metadata;
    if (!runsOnce(after)) this.#asked.add(uid);
    const { status } = after;
    if (this.#asked.has(uid) || !isObject(status) || status['phase'] !== 'Running') return;
    const { runtimeID } = status;
    const earlier = this.#running.get(uid) ?? runtimeID;
    this.#running.set(uid, runtimeID);
    if (earlier !== runtimeID) {
      throw new BrokenInvariant('once means once', `${name} ran as ${earlier}, and runs as ${runtimeID}`);
    }
  }
}

function runsOnce({ metadata, spec }: StoredObject): boolean {
  if (!isObject(spec) || metadata.annotations?.[restartedAtAnnotation] !== undefined) return false;
  return spec['runStrategy'] === 'Once' && spec['updateStrategy'] !== 'Recreate';
}
