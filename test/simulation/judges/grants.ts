// A drain that asks the budget of a set takes a VM away only once the set has stored that it may: an operator that dies
// in between has spent nothing (design §13). Looks at what agents are sent.
import { z } from 'zod';
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { isEvicting, isPresent } from './presence.ts';
import { membersOf, setOf } from './set-rules.ts';

const release = z.object({ uid: z.string() });

/** What was decided by what was stored is sent soon after. */
const recently = 30_000;

export class Grants {
  readonly #now: () => number;
  /** By uid of the VM: when it was last allowed to leave. */
  readonly #granted = new Map<string, number>();
  /** By name of the Node: when it last had a taint that asks nobody, or was not there. */
  readonly #commanded = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** At each write to the API server. */
  wrote({ after, before, kind }: Write): void {
    if (kind === 'Node') {
      const name = (after ?? before)?.metadata.name ?? '';
      if (commands(after)) this.#commanded.set(name, Number.POSITIVE_INFINITY);
      else if (this.#commanded.has(name)) this.#commanded.set(name, this.#now());
    }
    if (kind !== 'LinuxUtilityVM') return;
    for (const each of [before, after]) {
      if (each !== undefined && isEvicting(each)) this.#granted.set(each.metadata.uid, this.#now());
    }
  }

  /** A message is sent. `find` returns the VM of a uid. */
  sent(text: string, host: string, find: (uid: string) => StoredObject | undefined): void {
    const { data } = release.safeParse(text.startsWith('{"type":"release"') ? JSON.parse(text) : undefined);
    const object = data === undefined ? undefined : find(data.uid);
    if (object === undefined || setOf(object) === undefined || isEvicting(object)) return;
    const { name, uid } = object.metadata;
    const runsThere = membersOf(object['status'])['phase'] === 'Running' && isPresent(object);
    if (!runsThere || membersOf(object['status'])['nodeName'] !== host) return;
    const last = Math.max(this.#granted.get(uid) ?? 0, this.#commanded.get(host) ?? 0);
    if (last + recently > this.#now()) return;
    const message = `${host} is to release ${name}, and its set has not stored that it may leave`;
    throw new BrokenInvariant('a grant is stored first', message);
  }
}

/** Whether VMs have to leave the Node without a question to their sets. */
function commands(node: StoredObject | undefined): boolean {
  if (node === undefined) return true;
  const { taints } = membersOf(node['spec']);
  if (!Array.isArray(taints)) return false;
  return taints.some(
    (taint) =>
      isObject(taint) &&
      taint['effect'] === 'NoExecute' &&
      (taint['key'] !== 'lcow.dev/drain' || taint['value'] === 'now'),
  );
}
