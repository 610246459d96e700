// A VM that leaves its host to be placed anew: released there after live reads, confirmed gone, and only then without a
// host (design §1 invariant 2, §5). Nothing is remembered of it but what the host says.
import { isNotFound, type Outcome } from '../kubernetes/api-error.ts';
import type { Node, VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import { done, type Result } from '../queue/work-queue.ts';
import type { Agents } from './instructions/agents.ts';
import type { Inventory } from './knowledge/inventory.ts';
import { isStart, storedRest } from './knowledge/rest.ts';
import type { Evictions } from './placement/evictions.ts';
import type { StatusInputs, Verdict } from './status/status.ts';
import type { Written } from './status/status-writer.ts';

export interface RelocationOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly readNode: (nodeName: string) => Promise<Outcome<Node>>;
  readonly inventory: Inventory;
  readonly evictions: Evictions;
  readonly agents: Agents;
}

export type Decided = Partial<
  Pick<StatusInputs, 'nodeName' | 'scheduled' | 'blocked' | 'references' | 'rest' | 'unproven'>
>;
export type WriteStatus = (object: VirtualMachine, decided: Decided) => Promise<Written>;

const recheckMilliseconds = 15_000;

export class Relocation {
  readonly #options: RelocationOptions;

  constructor(options: RelocationOptions) {
    this.#options = options;
  }

  /** `left` is told once no host has the VM any more. */
  async reconcile(
    object: VirtualMachine,
    nodeName: string,
    verdict: Verdict,
    write: WriteStatus,
    left: (uid: string) => void,
  ): Promise<Result> {
    const { inventory, agents } = this.#options;
    const { uid } = object.metadata;
    if (inventory.presence(nodeName, uid) === 'Absent') return this.#leave(object, verdict, write, left);
    if (!agents.hasReleased(nodeName, uid)) {
      const live = await this.#isStillToLeave(object, nodeName, verdict);
      if (!live.ok) return { kind: 'Retry', error: live.error };
      if (!live.value) return done; // the cache was behind; the watch tells
      agents.release(nodeName, uid);
    }
    const { result } = await write(object, { blocked: verdict });
    return result.kind === 'Done' ? { kind: 'After', milliseconds: recheckMilliseconds } : result;
  }

  async #leave(
    object: VirtualMachine,
    verdict: Verdict,
    write: WriteStatus,
    left: (uid: string) => void,
  ): Promise<Result> {
    const message = `left its host: ${verdict.message}; looking for another one`;
    // One that rested before was not stopped by what drives it away.
    const reason = storedRest(object.status) ?? verdict.reason;
    const written = await write(object, { nodeName: undefined, scheduled: { reason, message } });
    if (written.object !== undefined && written.object.status.nodeName === undefined) left(object.metadata.uid);
    return written.result.kind === 'Done' ? { kind: 'After', milliseconds: 0 } : written.result;
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
