// The deletion of a LinuxUtilityVM (design §4, §1 invariants 2 and 5): the finalizer goes once the host has confirmed that
// VM and files are gone, or cannot run them any more, or by the force annotation; until then the status says what is
// waited for. Works whatever the spec looks like.
import { finalizer, forceDeleteAnnotation } from '../../crds/linux-utility-vm.ts';
import type { Clock } from '../../protocol/clock.ts';
import { isNotFound } from '../kubernetes/api-error.ts';
import type { EventRecord } from '../kubernetes/events.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { Agents } from './agents.ts';
import type { Fleet } from './fleet.ts';
import type { Inventory } from './inventory.ts';
import type { NodeFates } from './node-fate.ts';
import { done, type Result } from './queue.ts';
import { nextStatus, scheduledVerdict } from './status.ts';
import type { StatusWriter } from './status-writer.ts';
import type { VirtualMachines } from './virtual-machines.ts';

export interface TeardownOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly fates: NodeFates;
  readonly agents: Agents;
  readonly writer: StatusWriter;
  readonly record: (event: EventRecord) => void;
  readonly clock: Clock;
}

/** Why the object goes although no agent has confirmed. */
interface Unconfirmed {
  readonly reason: 'ForceDeleted' | 'Terminating';
  readonly note: string;
}

type Decision =
  | { readonly kind: 'LetGo'; readonly because?: Unconfirmed }
  | { readonly kind: 'Release'; readonly nodeName: string }
  | { readonly kind: 'Wait'; readonly nodeName: string | undefined; readonly message: string };

const recheckMilliseconds = 15_000;
const waysOut = `set the annotation ${forceDeleteAnnotation}: "true" to let it go unconfirmed`;

export class Teardown {
  readonly #options: TeardownOptions;

  constructor(options: TeardownOptions) {
    this.#options = options;
  }

  /** `neverPlaced`: this operator gave it its finalizer and has placed it nowhere. */
  async reconcile(object: VirtualMachine, neverPlaced: boolean): Promise<Result> {
    if (object.metadata.finalizers?.includes(finalizer) !== true) return done;
    const decision = await this.#decide(object, neverPlaced);
    switch (decision.kind) {
      case 'LetGo':
        return this.#letGo(object, decision.because);
      case 'Release':
        return this.#release(object, decision.nodeName);
      case 'Wait':
        return this.#wait(object, decision.nodeName, decision.message);
    }
  }

  async #decide(object: VirtualMachine, neverPlaced: boolean): Promise<Decision> {
    const { inventory, fates } = this.#options;
    const { uid, annotations } = object.metadata;
    if (annotations?.[forceDeleteAnnotation] === 'true') {
      return { kind: 'LetGo', because: { reason: 'ForceDeleted', note: 'let go without confirmation of its host' } };
    }
    const nodeName = object.status.nodeName ?? inventory.holdersOf(uid)[0];
    if (nodeName === undefined) return this.#decideUnplaced(uid, neverPlaced);
    const presence = inventory.presence(nodeName, uid);
    if (presence === 'Absent') return { kind: 'LetGo' };
    if (presence === 'Present') return { kind: 'Release', nodeName };
    const fate = await fates.of(nodeName);
    if (fate !== 'MayRun') {
      const note = `node ${nodeName} is ${fate === 'Gone' ? 'gone' : 'out of service'}, so the VM is taken to be gone`;
      return { kind: 'LetGo', because: { reason: 'Terminating', note } };
    }
    const message = `waiting for the agent of ${nodeName}, which is not connected or has not yet listed its VMs; if the machine is lost, delete its Node or taint it node.kubernetes.io/out-of-service, or ${waysOut}`;
    return { kind: 'Wait', nodeName, message };
  }

  #decideUnplaced(uid: string, neverPlaced: boolean): Decision {
    const unsure = neverPlaced ? [] : this.#options.fleet.hostsThatMayHave(uid);
    if (unsure.length === 0) return { kind: 'LetGo' };
    const names = unsure.slice(0, 3).join(', ');
    const message = `its host is not known; waiting for ${unsure.length} hosts to list their VMs, for example ${names}; or ${waysOut}`;
    return { kind: 'Wait', nodeName: undefined, message };
  }

  async #letGo(object: VirtualMachine, because: Unconfirmed | undefined): Promise<Result> {
    const { client, machines, writer } = this.#options;
    const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    const outcome = await client.patchFinalizers(object, finalizers);
    if (!outcome.ok) return writer.refused(object, outcome.error);
    machines.remember(outcome.value);
    if (because !== undefined) this.#record(object, because);
    return done;
  }

  async #release(object: VirtualMachine, nodeName: string): Promise<Result> {
    const { agents, client } = this.#options;
    const { uid } = object.metadata;
    if (!agents.hasReleased(nodeName, uid)) {
      const live = await client.get(object.metadata);
      if (!live.ok && !isNotFound(live.error)) return { kind: 'Retry', error: live.error };
      const stillWanted =
        live.ok && live.value.metadata.uid === uid && live.value.metadata.deletionTimestamp === undefined;
      if (stillWanted) return done; // the cache was wrong; the watch tells
      agents.release(nodeName, uid);
    }
    return this.#wait(
      object,
      nodeName,
      `waiting for the agent of ${nodeName} to confirm that the VM and its files are gone; or ${waysOut}`,
    );
  }

  async #wait(object: VirtualMachine, nodeName: string | undefined, message: string): Promise<Result> {
    const { inventory, clock } = this.#options;
    const next = nextStatus({
      object,
      nodeName,
      scheduled: scheduledVerdict(object, nodeName),
      report: nodeName === undefined ? undefined : inventory.reportOf(nodeName, object.metadata.uid),
      disconnected: nodeName !== undefined && inventory.untilDisconnected(nodeName) === 0,
      blocked: undefined,
      terminating: { reason: 'Terminating', message: `${message}; deleted ${object.metadata.deletionTimestamp}` },
      now: clock.now(),
    });
    const { result } = await this.#options.writer.write(object, next);
    return result.kind === 'Done' ? { kind: 'After', milliseconds: recheckMilliseconds } : result;
  }

  #record(object: VirtualMachine, { reason, note }: Unconfirmed): void {
    const regarding = { kind: 'LinuxUtilityVM', metadata: object.metadata };
    this.#options.record({ regarding, type: 'Warning', reason, action: 'Delete', note });
  }
}
