// Takes VMs off their hosts: VMs that will continue elsewhere (relocation.ts), and VMs whose node cannot run them any
// more. Meanwhile no agent is sent anything about such a VM.
import { essentialsOf, type VirtualMachine } from '../kubernetes/objects.ts';
import { done, type Result, soonest } from '../queue/result.ts';
import type { Agents } from './instructions/agents.ts';
import type { Inventory } from './knowledge/inventory.ts';
import type { NodeStates } from './knowledge/node-state.ts';
import type { Decided, MachineWrites } from './machine-writes.ts';
import type { Relocation } from './relocation.ts';
import type { Verdict } from './status/status.ts';

export interface LeavingOptions {
  readonly inventory: Pick<Inventory, 'isConnected'>;
  readonly nodeStates: Pick<NodeStates, 'of'>;
  readonly relocation: Pick<Relocation, 'next'>;
  readonly agents: Pick<Agents, 'release'>;
  readonly writes: Pick<MachineWrites, 'status'>;
  /** Called when it is certain that the VM has left its host. */
  readonly left: (uid: string) => void;
}

const recheck: Result = { kind: 'After', milliseconds: 15_000 };
const atOnce: Result = { kind: 'After', milliseconds: 0 };

export class Leaving {
  readonly #options: LeavingOptions;
  readonly #uids = new Set<string>();

  constructor(options: LeavingOptions) {
    this.#options = options;
  }

  has(uid: string): boolean {
    return this.#uids.has(uid);
  }

  /** Takes the VM off the host, to be placed again. */
  async relocate(object: VirtualMachine, nodeName: string, verdict: Verdict): Promise<Result> {
    const { relocation, agents } = this.#options;
    return this.#during(object, async () => {
      const step = await relocation.next(object, nodeName, verdict);
      switch (step.kind) {
        case 'Leave':
          return this.#leave(object, { scheduled: step.scheduled }, done);
        case 'Release':
          agents.release(nodeName, object.metadata.uid);
          return this.#await(object, verdict);
        case 'Stay':
          return done;
        case 'Unknown':
          return { kind: 'Retry', error: step.error };
      }
    });
  }

  /** A VM stays with a disconnected host, unless its node cannot run it any more: then it may be placed again. */
  async whileDisconnected(object: VirtualMachine, nodeName: string): Promise<Result> {
    const { inventory, nodeStates, writes } = this.#options;
    const state = await nodeStates.of(nodeName);
    if (state === 'MayRun' || essentialsOf(object.spec).nodeName !== undefined) {
      const { result } = await writes.status(object, {});
      return soonest(result, recheck);
    }
    if (inventory.isConnected(nodeName)) return atOnce;
    const why = state === 'Gone' ? 'is gone' : 'is out of service';
    const message = `node ${nodeName} ${why}; looking for another host`;
    return this.#during(object, () => this.#leave(object, { scheduled: { reason: 'NoHostFits', message } }, recheck));
  }

  async #during(object: VirtualMachine, take: () => Promise<Result>): Promise<Result> {
    const { uid } = object.metadata;
    this.#uids.add(uid);
    try {
      return await take();
    } finally {
      this.#uids.delete(uid);
    }
  }

  async #await(object: VirtualMachine, verdict: Verdict): Promise<Result> {
    const { result } = await this.#options.writes.status(object, { blocked: verdict });
    return result.kind === 'Done' ? recheck : result;
  }

  /** `otherwise`: when to look again if the VM still has its host. */
  async #leave(object: VirtualMachine, decided: Decided, otherwise: Result): Promise<Result> {
    // Before the write, which may take effect although it fails. If it does not, the host is told of the VM again.
    this.#options.left(object.metadata.uid);
    const written = await this.#options.writes.status(object, { ...decided, nodeName: undefined });
    const hasLeft = written.object !== undefined && written.object.status.nodeName === undefined;
    return soonest(written.result, hasLeft ? atOnce : otherwise);
  }
}
