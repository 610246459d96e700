// VMs without a host: taken back by the host that has the VM, kept waiting while a host may have it, at rest, or
// placed.
import { finalizer, type LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import { settledText } from '../../protocol/reasons.ts';
import { counted } from '../../runtime/counted.ts';
import { essentialsOf, type VirtualMachine } from '../kubernetes/objects.ts';
import { type Result, soonest } from '../queue/result.ts';
import type { Instructions, Wanted } from './instructions/instructions.ts';
import { isPaused } from './knowledge/annotations.ts';
import type { Inventory } from './knowledge/inventory.ts';
import { restWithoutHost } from './knowledge/rest.ts';
import { type Restoration, restoredAnnotation } from './knowledge/restoration.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import { type Continued, type Decided, isHeld, type MachineWrites } from './machine-writes.ts';
import { type Fleet, isProvenUnplaced } from './placement/fleet.ts';
import type { Obstacles } from './status/obstacles.ts';
import type { Scheduled, Verdict } from './status/status.ts';

export interface UnplacedOptions {
  readonly machines: Pick<VirtualMachines, 'isNew'>;
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly restoration: Pick<Restoration, 'pending' | 'suspect'>;
  readonly instructions: Pick<Instructions, 'of'>;
  readonly obstacles: Pick<Obstacles, 'judged'>;
  readonly writes: Pick<MachineWrites, 'hold' | 'status'>;
  /** The host whose agent this operator has told about the VM, until it knows that the VM has left. */
  readonly toldHost: (uid: string) => string | undefined;
}

const recheck: Result = { kind: 'After', milliseconds: 15_000 };
const exampleHosts = 3;

export class Unplaced {
  readonly #options: UnplacedOptions;
  /** Uids that this operator was about to place, and that no agent has learned of. */
  readonly #neverPlaced = new Set<string>();

  constructor(options: UnplacedOptions) {
    this.#options = options;
  }

  /** Returns the VM with its host, or the result with which the pass ends. */
  async reconcile(object: VirtualMachine): Promise<Continued> {
    const taken = await this.#takeBack(object);
    if (taken !== undefined) return taken;
    const mayHave = this.mayHave(object);
    const unproven = mayHave.length > 0;
    if (isPaused(object.metadata)) {
      return this.#wait(object, { reason: 'Paused', message: 'paused before it was placed' }, { unproven });
    }
    if (unproven) {
      const { result } = await this.#wait(object, this.#inventoryPending(mayHave), { unproven });
      return { result: soonest(result, recheck) };
    }
    const rest = restWithoutHost(object);
    if (rest !== undefined) {
      return this.#wait(
        object,
        { reason: rest, message: `${settledText(rest, essentialsOf(object.spec).runStrategy)} It has no host.` },
        { rest },
      );
    }
    const wanted = await this.#options.instructions.of(object);
    if (!wanted.ok || !object.spec.ok) return this.#blocked(object, wanted);
    return this.#place(object, object.spec.value);
  }

  /** Hosts that must first report that they do not have this VM. */
  mayHave(object: VirtualMachine): readonly string[] {
    const { inventory, fleet, machines, toldHost } = this.#options;
    const { uid } = object.metadata;
    // A VM without our finalizer was never placed. It costs no write other than its status.
    const isNew = !isHeld(object) || this.#neverPlaced.has(uid) || machines.isNew(uid);
    const others = fleet.hostsThatMayHave(object, isNew);
    // Somebody else removed the host that we had told: a write of an earlier leader may arrive late.
    const told = toldHost(uid);
    const ours = told !== undefined && fleet.mayHave(told, uid) ? [told] : [];
    const undecided = inventory.holdersOf(uid).filter((name) => fleet.claim(name, object).kind === 'Undecided');
    return [...new Set([...others, ...undecided, ...ours])].sort();
  }

  /** The VM has a host, or is gone. */
  forget(uid: string): void {
    this.#neverPlaced.delete(uid);
  }

  /** Assigns the VM to the host that reports it, if it may be there. */
  async #takeBack(object: VirtualMachine): Promise<Continued | undefined> {
    const { inventory, fleet, restoration } = this.#options;
    const { uid } = object.metadata;
    const { lastNodeName } = object.status;
    const accepted = inventory.holdersOf(uid).filter((name) => fleet.claim(name, object).kind === 'Accepted');
    const holder = accepted.find((name) => name === lastNodeName) ?? accepted[0];
    if (holder === undefined) return undefined;
    const wasProven = isProvenUnplaced(object) && holder !== lastNodeName;
    const message = `taken back to ${holder}, whose agent has it`;
    const settled = await this.#settleOn(object, holder, { reason: 'Scheduled', message });
    if (!('result' in settled) && wasProven) {
      restoration.suspect(`the agent of ${holder} has a VM that was stored without a host`);
    }
    return settled;
  }

  #inventoryPending(hosts: readonly string[]): Verdict {
    const names = hosts.slice(0, exampleHosts).join(', ');
    const { pending } = this.#options.restoration;
    const what = `it may be running already: waiting for the inventory of ${counted(hosts.length, 'host')}, for example ${names}`;
    const lost = `if a machine is lost, delete its Node, or its LinuxUtilityVMHost if it has no Node, or taint the Node node.kubernetes.io/out-of-service`;
    const ways = `${lost}; if the VM is new, as from a manifest, remove the finalizer ${finalizer} from it`;
    const restored =
      pending === undefined
        ? ''
        : `; the cluster may have been restored (${pending.why}): if it was not, remove the annotation ${restoredAnnotation} from the Lease lcow-operator`;
    return { reason: 'InventoryPending', message: `${what}; ${ways}${restored}` };
  }

  async #place(object: VirtualMachine, spec: LinuxUtilityVMSpec): Promise<Continued> {
    const { fleet } = this.#options;
    const { uid } = object.metadata;
    const placement = fleet.assume(uid, spec);
    if (!placement.placed) return this.#waitForRoom(object, placement);
    this.#neverPlaced.add(uid);
    const { nodeName } = placement;
    const message = spec.nodeName === undefined ? `placed on ${nodeName}` : `spec.nodeName is ${nodeName}`;
    const settled = await this.#settleOn(object, nodeName, { reason: 'Scheduled', message });
    // A write that failed may have taken effect: the room stays promised until the next pass knows more.
    if (!('result' in settled && settled.result.kind === 'Retry')) fleet.settle(uid);
    return settled;
  }

  /** The choice is stored before the agent learns of it. */
  async #settleOn(object: VirtualMachine, nodeName: string, scheduled: Scheduled): Promise<Continued> {
    const { writes } = this.#options;
    const held = await writes.hold(object);
    if ('result' in held) return held;
    const written = await writes.status(held, { nodeName, scheduled });
    return written.object?.status.nodeName === nodeName ? written.object : { result: written.result };
  }

  /** Nobody reports that a host is to be tried again. */
  async #waitForRoom(object: VirtualMachine, scheduled: Scheduled): Promise<{ readonly result: Result }> {
    const { result } = await this.#wait(object, scheduled);
    const milliseconds = this.#options.fleet.untilTriedAgain(object.metadata.uid);
    return { result: milliseconds === undefined ? result : soonest(result, { kind: 'After', milliseconds }) };
  }

  async #wait(
    object: VirtualMachine,
    scheduled: Scheduled,
    decided: Pick<Decided, 'rest' | 'unproven'> = {},
  ): Promise<{ readonly result: Result }> {
    const { result } = await this.#options.writes.status(object, { scheduled, ...decided });
    return { result };
  }

  async #blocked(object: VirtualMachine, wanted: Wanted): Promise<Continued> {
    const { obstacles, writes } = this.#options;
    const verdict = obstacles.judged(object, wanted.ok ? undefined : wanted.verdict);
    const scheduled = { reason: verdict?.reason ?? 'InvalidSpec', message: 'not placed before it can be assigned' };
    const decided = { scheduled, blocked: verdict, references: wanted.references };
    const { result } = await writes.status(object, decided);
    return { result: soonest(result, recheck) };
  }
}
