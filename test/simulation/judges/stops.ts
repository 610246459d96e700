// A VM that is to run is stopped by its agent because the operator says so only if a user or an administrator asked for
// it: not because a reference, a heartbeat or an answer is missing (design §11). Looks at what the status tells of the
// VM's end.
import { z } from 'zod';
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { conditionOf } from './stored-condition.ts';

const release = z.object({ uid: z.string() });
const observed = z.object({ virtualMachine: z.object({ uid: z.string(), phase: z.string() }) });

/** The reasons that the agent gives when it was told to halt the VM, or to release it. */
const told = /\((?:Halted|Terminating)\)/;

export class Stops {
  /** Uids of VMs that somebody has halted or deleted. */
  readonly #asked = new Set<string>();
  /** Nodes that were drained or deleted. */
  readonly #emptied = new Set<unknown>();
  /** Hosts and VMs that run there as an operator has read. */
  readonly #known = new Set<string>();
  /** Uids of VMs that a host lacked resources for. It has to let them go, even if they come up in that moment. */
  readonly #lacking = new Set<string>();

  /** At each write to the API server. */
  wrote({ after, before, kind }: Write): void {
    if (kind === 'Node') this.#wroteNode(after, before);
    if (kind !== 'LinuxUtilityVM' || after === undefined) return;
    if (isAskedToStop(after)) this.#asked.add(after.metadata.uid);
    if (before !== undefined) this.#judge(after, before);
  }

  /** A message was read: an operator knows whether the VM runs there. */
  read(text: string, host: string): void {
    const { data } = observed.safeParse(text.startsWith('{"type":"observed"') ? JSON.parse(text) : undefined);
    if (data === undefined) return;
    const run = `${host} ${data.virtualMachine.uid}`;
    if (data.virtualMachine.phase === 'Running') this.#known.add(run);
    else this.#known.delete(run);
  }

  /** A message is sent. `find` returns the VM of a uid. */
  sent(text: string, host: string, find: (uid: string) => StoredObject | undefined): void {
    const { data } = release.safeParse(text.startsWith('{"type":"release"') ? JSON.parse(text) : undefined);
    if (data === undefined || this.#asked.has(data.uid) || this.#emptied.has(host)) return;
    const object = find(data.uid);
    if (object === undefined || nodeOf(object) !== host || !this.#known.has(`${host} ${data.uid}`)) return;
    const message = `${object.metadata.name} is to run, and is known to run on ${host}`;
    throw new BrokenInvariant('nothing releases what is to run', message);
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
    if (lacksResources(before)) this.#lacking.add(uid);
    const exit = exitOf(after);
    if (exit !== exitOf(before) && told.test(exit) && !this.#lacking.has(uid)) {
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

function lacksResources(object: StoredObject): boolean {
  return ['Created', 'Ready'].some((type) => conditionOf(object, type)?.['reason'] === 'InsufficientResources');
}

function lacksReference(object: StoredObject): boolean {
  return conditionOf(object, 'Ready')?.['reason'] === 'ReferenceUnreadable';
}

function isSameGeneration(after: StoredObject, before: StoredObject): boolean {
  return after.metadata.generation === before.metadata.generation;
}
