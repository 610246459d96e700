// VMs that an agent has although their objects do not put them there (design §1, invariant 2). Each is judged by a live
// read before the agent is told to tear it down; one whose object has no host yet is taken back to this one instead.
import { isNotFound, type Outcome } from '../kubernetes/api-error.ts';
import { objectKey, type VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { Agents } from './agents.ts';
import type { Inventory } from './inventory.ts';
import { done, type Result } from './queue.ts';
import type { VirtualMachines } from './virtual-machines.ts';

export interface ForeignMachinesOptions {
  readonly client: ResourceClient<VirtualMachine>;
  /** Every VM that the API server has now. */
  readonly listLive: () => Promise<Outcome<readonly VirtualMachine[]>>;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly agents: Agents;
  readonly wake: (key: string) => void;
  readonly onForeign: (nodeName: string, uid: string) => void;
}

export class ForeignMachines {
  readonly #options: ForeignMachinesOptions;

  constructor(options: ForeignMachinesOptions) {
    this.#options = options;
  }

  /** By the cache, which may be behind: worth a live read. */
  isSuspect(nodeName: string, uid: string): boolean {
    const { machines, inventory, agents } = this.#options;
    if (!inventory.isConnected(nodeName) || !inventory.reportedOn(nodeName).has(uid)) return false;
    if (agents.hasReleased(nodeName, uid)) return false;
    const object = machines.byUid(uid);
    return object === undefined || (object.status.nodeName !== undefined && object.status.nodeName !== nodeName);
  }

  /** Judges all suspects of a host; those of which even the name is unknown by one list of everything. */
  async reconcile(nodeName: string): Promise<Result> {
    const { inventory, machines } = this.#options;
    const suspects = [...inventory.reportedOn(nodeName).keys()].filter((uid) => this.isSuspect(nodeName, uid));
    const named = suspects.filter((uid) => machines.byUid(uid) !== undefined);
    for (const uid of named) {
      const live = await this.#readByName(uid);
      if (!live.ok) return { kind: 'Retry', error: live.error };
      this.#judge(nodeName, uid, live.value);
    }
    const unknown = suspects.filter((uid) => !named.includes(uid));
    return unknown.length === 0 ? done : this.#judgeByList(nodeName, unknown);
  }

  async #judgeByList(nodeName: string, uids: readonly string[]): Promise<Result> {
    const live = await this.#options.listLive();
    if (!live.ok) return { kind: 'Retry', error: live.error };
    const byUid = new Map(live.value.map((object) => [object.metadata.uid, object]));
    for (const uid of uids) this.#judge(nodeName, uid, byUid.get(uid));
    return done;
  }

  async #readByName(uid: string): Promise<Outcome<VirtualMachine | undefined>> {
    const object = this.#options.machines.byUid(uid);
    if (object === undefined) return { ok: true, value: undefined };
    const live = await this.#options.client.get(object.metadata);
    if (live.ok) return { ok: true, value: live.value.metadata.uid === uid ? live.value : undefined };
    return isNotFound(live.error) ? { ok: true, value: undefined } : live;
  }

  #judge(nodeName: string, uid: string, live: VirtualMachine | undefined): void {
    const { machines, wake, onForeign, agents } = this.#options;
    if (live !== undefined && (live.status.nodeName ?? nodeName) === nodeName) {
      machines.remember(live); // the cache was behind
      wake(objectKey(live.metadata));
      return;
    }
    onForeign(nodeName, uid);
    agents.release(nodeName, uid);
  }
}

/** Reports of new suspects are collected for this long, so that a flood of them costs one list. */
export const foreignDelayMilliseconds = 1_000;
