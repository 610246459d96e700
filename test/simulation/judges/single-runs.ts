// A VM that is to run once runs once, whatever happens to its host, its agent and the operator.
import { restartedAtAnnotation } from '../../../crds/names.ts';
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import type { SimulatedSystem } from '../system/system.ts';

export class SingleRuns {
  /** By uid: the names of VMs that nobody has asked to run more than once. */
  readonly #single = new Map<string, string>();
  readonly #asked = new Set<string>();

  /** At each write to the API server. */
  wrote({ after, kind }: Write): void {
    if (kind !== 'LinuxUtilityVM' || after === undefined) return;
    const { name, uid } = after.metadata;
    if (this.#asked.has(uid)) return;
    if (runsOnce(after)) this.#single.set(uid, name);
    else {
      this.#asked.add(uid);
      this.#single.delete(uid);
    }
  }

  /** What ran more than once, a line each. */
  repeated({ machines }: SimulatedSystem): readonly string[] {
    return [...this.#single].flatMap(([uid, name]) => {
      const runs = machines.flatMap(({ host }) => {
        const counts = [...host.counts].filter(([id]) => id.endsWith(uid));
        return counts.map(([, { guestsUp }]) => guestsUp);
      });
      const total = runs.reduce((sum, count) => sum + count, 0);
      return total > 1 ? [`${name} is to run once, and its guest was up ${total} times`] : [];
    });
  }
}

function runsOnce({ metadata, spec }: StoredObject): boolean {
  if (!isObject(spec) || metadata.annotations?.[restartedAtAnnotation] !== undefined) return false;
  return spec['runStrategy'] === 'Once' && spec['updateStrategy'] !== 'Recreate';
}
