// VMs that an agent has although their objects do not place them there (design §1, invariant 2). Live reads judge each
// of them before the agent is told to tear it down. If the object has no host, this host takes the VM back instead,
// unless a rule that protects tenants refuses the host (design §10): otherwise anybody who knows a uid could claim any
// VM.

import { isNotFound, type Outcome, succeeded } from '../kubernetes/api-error.ts';
import type { EventRecord } from '../kubernetes/events.ts';
import { type Node, objectKey, type VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { KeyedAllowances } from '../queue/keyed-allowances.ts';
import { done, type Result } from '../queue/result.ts';
import type { Agents } from './instructions/agents.ts';
import type { Inventory } from './knowledge/inventory.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import type { Claim, Fleet } from './placement/fleet.ts';

export interface MisplacedMachinesOptions {
  readonly client: ResourceClient<VirtualMachine>;
  /** A live list of all VMs from the API server. */
  readonly listLive: () => Promise<Outcome<readonly VirtualMachine[]>>;
  readonly readNode: (nodeName: string) => Promise<Outcome<Node>>;
  /** Allowances for such lists, by the name of the host that causes them: `listRate`. */
  readonly lists: KeyedAllowances;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly fleet: Pick<Fleet, 'claim'>;
  readonly agents: Agents;
  readonly record: (event: EventRecord) => void;
  readonly wake: (key: string) => void;
  readonly onMisplaced: (nodeName: string, uid: string) => void;
}

export class MisplacedMachines {
  readonly #options: MisplacedMachinesOptions;

  constructor(options: MisplacedMachinesOptions) {
    this.#options = options;
  }

  /** Judges by the cache, which may be behind. A suspect is worth a live read. */
  isSuspect(nodeName: string, uid: string): boolean {
    const { machines, inventory, agents, fleet } = this.#options;
    if (!inventory.isConnected(nodeName) || !inventory.reportedOn(nodeName).has(uid)) return false;
    if (agents.hasReleased(nodeName, uid)) return false;
    const object = machines.byUid(uid);
    if (object === undefined) return true;
    if (object.status.nodeName !== undefined) return object.status.nodeName !== nodeName;
    return fleet.claim(nodeName, object).kind === 'Refused';
  }

  /** Judges all suspects of a host. One list of all VMs covers those whose name is unknown. */
  async reconcile(nodeName: string): Promise<Result> {
    const { inventory, machines } = this.#options;
    const suspects = [...inventory.reportedOn(nodeName).keys()].filter((uid) => this.isSuspect(nodeName, uid));
    const named = suspects.filter((uid) => machines.byUid(uid) !== undefined);
    for (const uid of named) {
      const live = await this.#readByName(uid);
      const judged = live.ok ? await this.#judge(nodeName, uid, live.value) : live;
      if (!judged.ok) return { kind: 'Retry', error: judged.error };
    }
    const unknown = suspects.filter((uid) => !named.includes(uid));
    return unknown.length === 0 ? done : this.#judgeByList(nodeName, unknown);
  }

  async #judgeByList(nodeName: string, uids: readonly string[]): Promise<Result> {
    if (!this.#options.lists.tryTake(nodeName)) return { kind: 'After', milliseconds: listMilliseconds };
    const live = await this.#options.listLive();
    if (!live.ok) return { kind: 'Retry', error: live.error };
    const byUid = new Map(live.value.map((object) => [object.metadata.uid, object]));
    for (const uid of uids) {
      const judged = await this.#judge(nodeName, uid, byUid.get(uid));
      if (!judged.ok) return { kind: 'Retry', error: judged.error };
    }
    return done;
  }

  async #readByName(uid: string): Promise<Outcome<VirtualMachine | undefined>> {
    const object = this.#options.machines.byUid(uid);
    if (object === undefined) return { ok: true, value: undefined };
    const live = await this.#options.client.get(object.metadata);
    if (live.ok) return { ok: true, value: live.value.metadata.uid === uid ? live.value : undefined };
    return isNotFound(live.error) ? { ok: true, value: undefined } : live;
  }

  async #judge(nodeName: string, uid: string, live: VirtualMachine | undefined): Promise<Outcome<undefined>> {
    const claim = await this.#claim(nodeName, live);
    if (!claim.ok) return claim;
    if (live !== undefined && claim.value.kind !== 'Refused') {
      this.#options.machines.remember(live); // the cache was behind
      this.#options.wake(objectKey(live.metadata));
      return answered;
    }
    this.#options.onMisplaced(nodeName, uid);
    this.#options.agents.release(nodeName, uid);
    if (live !== undefined && live.status.nodeName === undefined) this.#tell(nodeName, live, claim.value);
    return answered;
  }

  /** Judges by live reads of the object and, if the object has no host, of the Node. */
  async #claim(nodeName: string, live: VirtualMachine | undefined): Promise<Outcome<Claim>> {
    if (live === undefined) return succeeded({ kind: 'Refused', why: 'its object is gone' });
    const { nodeName: stored } = live.status;
    if (stored === nodeName) return succeeded({ kind: 'Accepted' });
    if (stored !== undefined) return succeeded({ kind: 'Refused', why: `it is placed on ${stored}` });
    const node = await this.#options.readNode(nodeName);
    if (!node.ok) return isNotFound(node.error) ? succeeded({ kind: 'Undecided' }) : node;
    return succeeded(this.#options.fleet.claim(nodeName, live, node.value));
  }

  #tell(nodeName: string, { metadata }: VirtualMachine, claim: Claim): void {
    const why = claim.kind === 'Refused' ? claim.why : '';
    this.#options.record({
      regarding: { kind: 'LinuxUtilityVM', metadata },
      type: 'Warning',
      reason: 'ClaimRefused',
      action: 'Release',
      note: `the agent of ${nodeName} has the VM, which must not be there (${why}); the agent must remove it`,
    });
  }
}

const answered = succeeded(undefined);

/** An agent can invent VMs without end, and each list contains every VM of the cluster. */
export const listRate = { perSecond: 1 / 30, burst: 3 } as const;
const listMilliseconds = 1_000 / listRate.perSecond;

/** Reports of new suspects are collected for this long, so that a flood of them costs one list. */
export const misplacedDelayMilliseconds = 1_000;
