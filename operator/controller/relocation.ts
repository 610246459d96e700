// Decides the next step when a VM leaves its host to be placed again: it is released there after live reads, then
// confirmed gone, and only then loses its host (design §1 invariant 2, §5). No state is kept besides the host's
// reports.
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
  readonly evictions: Pick<Evictions, 'confirms' | 'lacksResources'>;
  readonly agents: Pick<Agents, 'hasReleased'>;
}

export type RelocationStep =
  /** No host has the VM any more: its object loses its host. */
  | { readonly kind: 'Leave'; readonly scheduled: Scheduled }
  /** The agent has to tear the VM down, or is doing so. */
  | { readonly kind: 'Release' }
  /** The cache was behind; the watch brings the current state. */
  | { readonly kind: 'Stay' }
  | { readonly kind: 'Unknown'; readonly error: unknown };

export class Relocation {
  readonly #options: RelocationOptions;

  constructor(options: RelocationOptions) {
    this.#options = options;
  }

  /** `verdict`: why the VM has to leave. */
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
    // Its agent tries again, and may have had the resources while the object was read.
    if (verdict.reason === 'InsufficientResources') {
      return { ok: true, value: this.#options.evictions.lacksResources(live.value, nodeName) };
    }
    // The VM was stopped there, and nobody has admitted it since.
    return { ok: true, value: isStart(live.value) };
  }

  async #isStillDrained(nodeName: string, object: VirtualMachine): Promise<Outcome<boolean>> {
    const node = await this.#options.readNode(nodeName);
    if (!node.ok) return isNotFound(node.error) ? { ok: true, value: false } : node;
    return { ok: true, value: this.#options.evictions.confirms(object, node.value) };
  }
}

/** A VM that rested before was not stopped by the cause of its leaving. */
function leaving({ status }: VirtualMachine, { reason, message }: Verdict): Scheduled {
  return { reason: storedRest(status) ?? reason, message: `left its host: ${message}; looking for another one` };
}
