// The deletion of a LinuxUtilityVM (design §4, §1 invariants 2 and 5). The finalizer is removed once the host has
// confirmed that the VM and its files are gone, once the host cannot run the VM any more, or by the force annotation.
// Until then the status says what the deletion waits for. Works with any spec, even an unreadable one.
import { finalizer, forceDeleteAnnotation } from '../../crds/linux-utility-vm.ts';
import type { Clock } from '../../runtime/clock.ts';
import { counted } from '../../runtime/counted.ts';
import { isNotFound } from '../kubernetes/api-error.ts';
import type { EventRecord } from '../kubernetes/events.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import { done, type Result } from '../queue/result.ts';
import type { Agents } from './instructions/agents.ts';
import type { Inventory } from './knowledge/inventory.ts';
import type { NodeStates } from './knowledge/node-state.ts';
import { isTornDown } from './knowledge/rest.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import type { Fleet } from './placement/fleet.ts';
import { nextStatus, type StatusInputs, scheduledVerdict } from './status/status.ts';
import type { StatusWriter, Written } from './status/status-writer.ts';

export interface TeardownOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly nodeStates: NodeStates;
  readonly agents: Agents;
  readonly writer: StatusWriter;
  readonly record: (event: EventRecord) => void;
  readonly clock: Clock;
}

/** Why the object is deleted although no agent has confirmed. */
interface Unconfirmed {
  readonly reason: 'ForceDeleted' | 'Terminating';
  readonly note: string;
}

type Decision =
  | { readonly kind: 'LetGo'; readonly because?: Unconfirmed }
  | { readonly kind: 'Release'; readonly nodeName: string }
  | {
      readonly kind: 'Wait';
      readonly nodeName: string | undefined;
      readonly message: string;
      readonly unproven?: boolean;
    };

const recheckMilliseconds = 15_000;
const waysOut = `set the annotation ${forceDeleteAnnotation}: "true" to remove the finalizer without confirmation`;

export class Teardown {
  readonly #options: TeardownOptions;

  constructor(options: TeardownOptions) {
    this.#options = options;
  }

  /** `mayHave`: the hosts that may have the VM according to the store. */
  async reconcile(object: VirtualMachine, mayHave: () => readonly string[]): Promise<Result> {
    if (isTornDown(object)) return this.#outlive(object);
    const decision = await this.#decide(object, mayHave);
    switch (decision.kind) {
      case 'LetGo':
        return this.#letGo(object, decision.because);
      case 'Release':
        return this.#release(object, decision.nodeName);
      case 'Wait':
        return this.#wait(object, decision);
    }
  }

  async #decide(object: VirtualMachine, mayHave: () => readonly string[]): Promise<Decision> {
    const { inventory, fleet } = this.#options;
    const { uid, annotations } = object.metadata;
    if (annotations?.[forceDeleteAnnotation] === 'true') {
      return {
        kind: 'LetGo',
        because: { reason: 'ForceDeleted', note: 'the host did not confirm that the VM is gone' },
      };
    }
    const holder = inventory.holdersOf(uid).find((name) => fleet.claim(name, object).kind === 'Accepted');
    const nodeName = object.status.nodeName ?? holder;
    return nodeName === undefined ? this.#decideUnplaced(mayHave()) : this.#decideOn(nodeName, uid);
  }

  async #decideOn(nodeName: string, uid: string): Promise<Decision> {
    const { inventory, nodeStates } = this.#options;
    const presence = inventory.presence(nodeName, uid);
    if (presence === 'Absent') return { kind: 'LetGo' };
    if (presence === 'Present') return { kind: 'Release', nodeName };
    const state = await nodeStates.of(nodeName);
    if (state !== 'MayRun') {
      const note = `node ${nodeName} is ${state === 'Gone' ? 'gone' : 'out of service'}, so the VM is taken to be gone`;
      return { kind: 'LetGo', because: { reason: 'Terminating', note } };
    }
    const message = `waiting for the agent of ${nodeName}, which is not connected or has not yet listed its VMs; if the machine is lost, delete its Node or taint it node.kubernetes.io/out-of-service, or ${waysOut}`;
    return { kind: 'Wait', nodeName, message };
  }

  #decideUnplaced(mayHave: readonly string[]): Decision {
    if (mayHave.length === 0) return { kind: 'LetGo' };
    const names = mayHave.slice(0, 3).join(', ');
    const message = `its host is not known; waiting for the inventory of ${counted(mayHave.length, 'host')}, for example ${names}; or ${waysOut}`;
    return { kind: 'Wait', nodeName: undefined, message, unproven: true };
  }

  /**
   * Only other finalizers keep the object. If somebody removed ours by hand or by force, that does not prove that the
   * VM is gone.
   */
  async #outlive(object: VirtualMachine): Promise<Result> {
    const { nodeName, observedGeneration = 0 } = object.status;
    if (nodeName === undefined) return observedGeneration === 0 ? done : this.#conclude(await this.#tornDown(object));
    const decision = await this.#decideOn(nodeName, object.metadata.uid);
    switch (decision.kind) {
      case 'LetGo':
        return this.#conclude(await this.#tornDown(object));
      case 'Release':
        return this.#release(object, decision.nodeName);
      case 'Wait':
        return this.#wait(object, decision);
    }
  }

  /** Writes that the VM is gone, and which finalizers still keep its object. */
  #tornDown(object: VirtualMachine): Promise<Written> {
    const names = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer).join(', ');
    const message = `the VM and its files are gone; the object stays until somebody removes the finalizer ${names}`;
    return this.#write(object, {
      nodeName: undefined,
      scheduled: { reason: 'Terminating', message: 'torn down' },
      terminating: { reason: 'Terminating', message },
      tornDown: true,
    });
  }

  async #letGo(object: VirtualMachine, because: Unconfirmed | undefined): Promise<Result> {
    const { client, machines, writer } = this.#options;
    const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    let last = object;
    if (finalizers.length > 0 && object.status.nodeName !== undefined && because?.reason !== 'ForceDeleted') {
      const { object: written, result } = await this.#tornDown(object);
      if (written === undefined) return result;
      last = written;
    }
    const outcome = await client.patchFinalizers(last, finalizers);
    if (!outcome.ok) return writer.refused(last, outcome.error);
    machines.remember(outcome.value);
    if (because !== undefined) this.#record(object, because);
    // The object may remain. Its next change triggers another pass.
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
      if (stillWanted) return done; // the cache was wrong; the watch brings the current state
      agents.release(nodeName, uid);
    }
    const message = `waiting for the agent of ${nodeName} to confirm that the VM and its files are gone; or ${waysOut}`;
    return this.#wait(object, { nodeName, message });
  }

  async #wait(
    object: VirtualMachine,
    { nodeName, message, unproven = false }: Omit<Extract<Decision, { kind: 'Wait' }>, 'kind'>,
  ): Promise<Result> {
    const written = await this.#write(object, {
      nodeName,
      scheduled: scheduledVerdict(object, nodeName),
      terminating: { reason: 'Terminating', message: `${message}; deleted ${object.metadata.deletionTimestamp}` },
      unproven,
    });
    return this.#conclude(written);
  }

  #conclude({ result }: Written): Result {
    return result.kind === 'Done' ? { kind: 'After', milliseconds: recheckMilliseconds } : result;
  }

  #write(
    object: VirtualMachine,
    decided: Pick<StatusInputs, 'nodeName' | 'scheduled' | 'terminating' | 'tornDown' | 'unproven'>,
  ): Promise<Written> {
    const { inventory, clock, writer } = this.#options;
    const { nodeName } = decided;
    const next = nextStatus({
      ...decided,
      object,
      report: nodeName === undefined ? undefined : inventory.reportOf(nodeName, object.metadata.uid),
      // Without the usual grace period: the VM is being deleted, and nobody can say whether it still exists.
      disconnected: nodeName !== undefined && !inventory.isConnected(nodeName),
      blocked: undefined,
      now: clock.now(),
    });
    return writer.write(object, next);
  }

  #record(object: VirtualMachine, { reason, note }: Unconfirmed): void {
    const regarding = { kind: 'LinuxUtilityVM', metadata: object.metadata };
    this.#options.record({ regarding, type: 'Warning', reason, action: 'Delete', note });
  }
}
