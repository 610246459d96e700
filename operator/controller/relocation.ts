// Decides how a VM leaves its host to be placed again: released there after live reads, confirmed gone, and only then without
// a host (design §1 invariant 2, §5). Nothing is remembered of it but what the host says.
import { isNotFound, type Outcome } from '../kubernetes/api-error.ts';
import type { Node, VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { Agents } from './instructions/agents.ts';
import type { Inventory } from './knowledge/inventory.ts';
import { isStart, storedRest } from './knowledge/rest.ts';
import type { Evictions } from './placement/evictions.ts';
import type { Scheduled, Verdict } from './status/status.ts';

export interface RelocationOptions {
  readonly client: Pick<ResourceClient<VirtualMachine>, 'get'>;
  readonly readNode: (nodeName: string) => Promise<Outcome<Node>>;
  readonly inventory: Inventory;
  readonly evictions: Pick<Evictions, 'confirms'>;
  readonly agents: Pick<Agents, 'hasReleased'>;
}

export type RelocationStep =
  /** No host has it any more: its object is to have none. */
  | { readonly kind: 'Leave'; readonly scheduled: Scheduled }
  /** Its agent is to tear it down, or does so already. */
  | { readonly kind: 'Release' }
  /** The cache was behind; the watch tells what holds. */
  | { readonly kind: 'Stay' }
  | { readonly kind: 'Unknown'; readonly error: unknown };

export class Relocation {
  readonly #options: RelocationOptions;

  constructor(options: RelocationOptions) {
    this.#options = options;
  }

  /** `verdict`: why it has to leave. */
  async next(object: VirtualMachine, nodeName: string, verdict: Verdict): Promise<RelocationStep> {
    const { inventory, agents } = this.#options;
    const { uid } = object.metadata;
    if (inventory.presence(nodeName, uid) === 'Absent') return { kind: 'Leave', scheduled: leaving(object, verdict) };
    if (agents.hasReleased(nodeName, uid)) return { kind: 'Release' };
    const live = await this.#isStillToLeave(object, nodeName, verdict);
    if (!live.ok) return { kind: 'Unknown', error: live.error };
    return { kind: live.value ? 'Release' : 'Stay' };
  }

  async #isStillToLeave(object: VirtualMachine, nodeName: string, verdict: Verdict): Promise<Outcome<boolean>> {
    const live = await this.#options.client.get(object.metadata);
    if (!live.ok) return isNotFound(live.error) ? { ok: true, value: false } : live;
    const { metadata, status } = live.value;
    const same = metadata.uid === object.metadata.uid && status.nodeName === nodeName;
    if (!same || metadata.deletionTimestamp !== undefined) return { ok: true, value: false };
    if (verdict.reason === 'HostDrained') return this.#isStillDrained(nodeName, live.value);
    if (!live.value.spec.ok) return { ok: true, value: false };
    // Never created there; or stopped there, and not admitted by anybody meanwhile.
    return { ok: true, value: verdict.reason === 'InsufficientResources' || isStart(live.value) };
  }

  async #isStillDrained(nodeName: string, object: VirtualMachine): Promise<Outcome<boolean>> {
    const node = await this.#options.readNode(nodeName);
    if (!node.ok) return isNotFound(node.error) ? { ok: true, value: false } : node;
    return { ok: true, value: this.#options.evictions.confirms(object, node.value) };
  }
}

/** One that rested before was not stopped by what drives it away. */
function leaving({ status }: VirtualMachine, { reason, message }: Verdict): Scheduled {
  return { reason: storedRest(status) ?? reason, message: `left its host: ${message}; looking for another one` };
}
