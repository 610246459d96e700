// A VM that is to run is stopped by its agent because the operator says so only if a user or an administrator asked for
// it: not because a reference, a heartbeat or an answer is missing (design §11). Looks at what the status tells of the
// VM's end.
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { conditionOf } from './stored-condition.ts';

/** The reasons that the agent gives when it was told to halt the VM, or to release it. */
const told = /\((?:Halted|Terminating)\)/;

export class Stops {
  /** Uids of VMs that somebody has halted or deleted. */
  readonly #asked = new Set<string>();
  /** Nodes that were drained or deleted. */
  readonly #emptied = new Set<unknown>();

  /** At each write to the API server. */
  wrote({ after, before, kind }: Write): void {
    if (kind === 'Node') this.#wroteNode(after, before);
    if (kind !== 'LinuxUtilityVM' || after === undefined) return;
    if (isAskedToStop(after)) this.#asked.add(after.metadata.uid);
    if (before !== undefined) this.#judge(after, before);
  }

  #wroteNode(after: StoredObject | undefined, before: StoredObject | undefined): void {
    const spec = after?.spec;
    const isDrained = isObject(spec) && Array.isArray(spec['taints']) && spec['taints'].length > 0;
    if (after === undefined || isDrained) this.#emptied.add((after ?? before)?.metadata.name);
  }

  #judge(after: StoredObject, before: StoredObject): void {
    const { name, uid } = after.metadata;
    const nodes = [nodeOf(before), nodeOf(after)];
    if (this.#asked.has(uid) || nodes.some((node) => this.#emptied.has(node))) return;
    const exit = exitOf(after);
    // A host that lacks resources for a VM has to let it go, and may have had them after all in that moment.
    if (exit !== exitOf(before) && told.test(exit) && isRunning(before)) {
      throw new BrokenInvariant('nothing stops what is to run', `${name} is to run on ${nodes[0]}: ${exit}`);
    }
    if (isReady(before) && isRunning(after) && lacksReference(after) && isSameGeneration(after, before)) {
      const message = `${name} runs as it should, and is not ready because of its reference`;
      throw new BrokenInvariant('a running VM needs no reference', message);
    }
  }
}

function isAskedToStop({ metadata, spec }: StoredObject): boolean {
  return metadata.deletionTimestamp !== undefined || (isObject(spec) && spec['runStrategy'] === 'Halted');
}

function statusOf({ status }: StoredObject): Readonly<Record<string, unknown>> {
  return isObject(status) ? status : {};
}

function nodeOf(object: StoredObject): unknown {
  return statusOf(object)['nodeName'];
}

/** The end of the VM, with its time, as text. */
function exitOf(object: StoredObject): string {
  const exit = statusOf(object)['lastExit'];
  return isObject(exit) ? `${exit['time']} ${exit['message']}` : '';
}

function isRunning(object: StoredObject): boolean {
  return statusOf(object)['phase'] === 'Running';
}

/** The VM runs, and its agent has followed this generation of its manifest. */
function isReady(object: StoredObject): boolean {
  const isFollowed = statusOf(object)['observedGeneration'] === object.metadata.generation;
  return isFollowed && isRunning(object) && conditionOf(object, 'Ready')?.['status'] === 'True';
}

function lacksReference(object: StoredObject): boolean {
  return conditionOf(object, 'Ready')?.['reason'] === 'ReferenceUnreadable';
}

function isSameGeneration(after: StoredObject, before: StoredObject): boolean {
  return after.metadata.generation === before.metadata.generation;
}
