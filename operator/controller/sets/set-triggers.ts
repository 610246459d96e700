// The changes that make the operator look at a set again: of the set, of its VMs, of objects with names that its VMs need,
// and of the taints of Nodes that its VMs run on.

import { sameJson } from '../../../runtime/same-json.ts';
import type { Caches } from '../../kubernetes/caches.ts';
import type { Node, StoredMeta } from '../../kubernetes/objects.ts';
import type { WorkQueue } from '../../queue/work-queue.ts';
import { setKeysOf } from '../knowledge/set-members.ts';
import type { VirtualMachines } from '../knowledge/virtual-machines.ts';

export interface SetTriggersOptions {
  readonly caches: Pick<Caches, 'machines' | 'nodes' | 'sets'>;
  readonly machines: VirtualMachines;
  readonly queue: WorkQueue;
  readonly forget: (uid: string) => void;
}

export class SetTriggers {
  readonly #options: SetTriggersOptions;
  #subscriptions: (() => void)[] = [];

  constructor(options: SetTriggersOptions) {
    this.#options = options;
  }

  /** Call after the cache of VMs follows the API server: a pass reads it. */
  start(): void {
    const { caches, queue, forget } = this.#options;
    this.#subscriptions = [
      caches.sets.onChange((change) => {
        if (change.type === 'Deleted') forget(change.object.metadata.uid);
        else queue.add(change.key);
      }),
      caches.machines.onChange((change) => {
        this.#wake(change.object.metadata);
        if (change.type === 'Applied' && change.previous !== undefined) this.#wake(change.previous.metadata);
      }),
      caches.nodes.onChange((change) => {
        const before = change.type === 'Applied' ? change.previous : undefined;
        if (change.type === 'Deleted' || !sameTaints(before, change.object)) this.#wakeSetsOn(change.key);
      }),
    ];
  }

  stop(): void {
    for (const end of this.#subscriptions.splice(0)) end();
  }

  /** Looks at every set. */
  resync(): void {
    const { caches, queue } = this.#options;
    for (const { metadata } of caches.sets.values()) queue.add(`${metadata.namespace ?? ''}/${metadata.name}`);
  }

  #wakeSetsOn(nodeName: string): void {
    const { machines } = this.#options;
    for (const key of machines.keysOn(nodeName)) {
      const object = machines.get(key);
      if (object !== undefined) this.#wake(object.metadata);
    }
  }

  #wake(metadata: StoredMeta): void {
    const { caches, queue } = this.#options;
    const ordinalAt = metadata.name.lastIndexOf('-');
    const named = `${metadata.namespace ?? ''}/${metadata.name.slice(0, Math.max(0, ordinalAt))}`;
    for (const key of [...setKeysOf(metadata), named]) if (caches.sets.get(key) !== undefined) queue.add(key);
  }
}

function sameTaints(before: Node | undefined, after: Node): boolean {
  return before !== undefined && sameJson(before.spec.taints, after.spec.taints);
}
