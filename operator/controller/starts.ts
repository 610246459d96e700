// Starts of VMs that rest on a host (design §10). A start passes the filters of a first placement. Until it is
// admitted, its agent is told `Halted`, and the admission is stored before the agent learns of it. A VM that runs is
// admitted whatever the filters say: nothing is stopped for lack of an admission.
import type { LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import { isNotFound } from '../kubernetes/api-error.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import { done, type Result } from '../queue/result.ts';
import type { Agents } from './instructions/agents.ts';
import type { Inventory } from './knowledge/inventory.ts';
import { holdsRoom, isActive, isBoundToHost, isStopped } from './knowledge/rest.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import type { Decided } from './machine-writes.ts';
import type { Eviction } from './placement/evictions.ts';
import type { Fleet } from './placement/fleet.ts';
import type { Verdict } from './status/status.ts';
import type { Written } from './status/status-writer.ts';

export interface StartsOptions {
  readonly client: Pick<ResourceClient<VirtualMachine>, 'get'>;
  readonly machines: Pick<VirtualMachines, 'rememberLive'>;
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly agents: Pick<Agents, 'hasReleased'>;
}

export interface StartJudgement {
  readonly eviction: Eviction;
  /** What prevents telling the agent the VM's options. */
  readonly obstacle: Verdict | undefined;
}

export interface StartPorts {
  readonly write: (object: VirtualMachine, decided: Decided) => Promise<Written>;
  /** Tells the agent what is wanted of the VM. */
  readonly tell: (object: VirtualMachine) => Promise<void>;
  readonly move: (object: VirtualMachine, nodeName: string, verdict: Verdict) => Promise<Result>;
  /** Continues with a VM that now holds room. */
  readonly keep: (object: VirtualMachine) => Promise<Result>;
}

const recheck: Result = { kind: 'After', milliseconds: 15_000 };
/** A lost session returns soon, or its host counts as disconnected. */
const lapsedMilliseconds = 1_000;

export class Starts {
  readonly #options: StartsOptions;
  /** By uid: the version of the object that the API server has confirmed to be the newest. */
  readonly #confirmed = new Map<string, string>();

  constructor(options: StartsOptions) {
    this.#options = options;
  }

  async reconcile(
    object: VirtualMachine,
    nodeName: string,
    spec: LinuxUtilityVMSpec,
    { eviction, obstacle }: StartJudgement,
    ports: StartPorts,
  ): Promise<Result> {
    const { inventory, agents } = this.#options;
    const { uid } = object.metadata;
    const observed = inventory.reportOf(nodeName, uid)?.observed;
    if (observed !== undefined && isActive(observed)) {
      return this.#admit(object, `it is running on ${nodeName} already`, ports);
    }
    if (!inventory.isConnected(nodeName)) return { kind: 'After', milliseconds: lapsedMilliseconds };
    if (agents.hasReleased(nodeName, uid)) {
      return ports.move(object, nodeName, { reason: 'NoRoom', message: `it leaves ${nodeName}, which had no room` });
    }
    if (eviction.kind === 'Halt') return this.#refuse(object, nodeName, spec, eviction.verdict, ports);
    if (obstacle !== undefined) {
      return this.#isIdle(object, nodeName) ? this.#wait(object, obstacle, ports) : recheck;
    }
    return this.#judge(object, nodeName, spec, ports);
  }

  forget(uid: string): void {
    this.#confirmed.delete(uid);
  }

  async #judge(object: VirtualMachine, nodeName: string, spec: LinuxUtilityVMSpec, ports: StartPorts): Promise<Result> {
    const { fleet } = this.#options;
    const { uid } = object.metadata;
    const placement = fleet.assumeOn(nodeName, uid, spec);
    if (!placement.placed) return this.#refuse(object, nodeName, spec, placement, ports);
    return this.#admit(object, `admitted on ${nodeName}`, ports, () => fleet.settle(uid));
  }

  /** Applies only to a VM that is certainly stopped. For any other, the agent will report more. */
  async #refuse(
    object: VirtualMachine,
    nodeName: string,
    spec: LinuxUtilityVMSpec,
    verdict: Verdict,
    ports: StartPorts,
  ): Promise<Result> {
    const { fleet } = this.#options;
    const { uid } = object.metadata;
    if (!this.#isIdle(object, nodeName)) return recheck;
    const mayLeave = !isBoundToHost(spec) && fleet.couldPlaceBeside(nodeName, uid, spec);
    if (mayLeave) return ports.move(object, nodeName, { reason: 'NoRoom', message: verdict.message });
    return this.#wait(object, { reason: verdict.reason, message: verdict.message }, ports);
  }

  #isIdle({ metadata: { uid } }: VirtualMachine, nodeName: string): boolean {
    const { inventory } = this.#options;
    const observed = inventory.reportOf(nodeName, uid)?.observed;
    return observed === undefined ? inventory.presence(nodeName, uid) === 'Absent' : isStopped(observed);
  }

  async #admit(
    object: VirtualMachine,
    message: string,
    { write, keep }: StartPorts,
    settle = () => {},
  ): Promise<Result> {
    const written = await write(object, { scheduled: { reason: 'Admitted', message } });
    // A write that failed may have taken effect: the room stays promised until the next pass knows more.
    if (written.result.kind !== 'Retry') settle();
    if (written.object === undefined || !holdsRoom(written.object)) return written.result;
    return keep(written.object);
  }

  async #wait(object: VirtualMachine, verdict: Verdict, ports: StartPorts): Promise<Result> {
    const written = await ports.write(object, { scheduled: { status: 'False', ...verdict }, blocked: verdict });
    const stored = written.object;
    if (stored === undefined) return written.result;
    if (stored !== object) this.#confirmed.set(stored.metadata.uid, stored.metadata.resourceVersion);
    const outdated = await this.#ifOutdated(stored);
    if (outdated !== undefined) return outdated;
    await ports.tell(stored);
    return written.result.kind === 'Done' ? recheck : written.result;
  }

  /**
   * An earlier leader may have admitted the VM, which a cache that is behind does not show: then the VM may be running.
   */
  async #ifOutdated(object: VirtualMachine): Promise<Result | undefined> {
    const { client, machines } = this.#options;
    const { uid, resourceVersion } = object.metadata;
    if (this.#confirmed.get(uid) === resourceVersion) return undefined;
    const live = await client.get(object.metadata);
    if (!live.ok) return isNotFound(live.error) ? done : { kind: 'Retry', error: live.error };
    if (live.value.metadata.resourceVersion === resourceVersion && live.value.metadata.uid === uid) {
      this.#confirmed.set(uid, resourceVersion);
      return undefined;
    }
    machines.rememberLive(live.value, object);
    return { kind: 'After', milliseconds: 0 };
  }
}
