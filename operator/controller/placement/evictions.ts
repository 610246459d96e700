// Whether a VM has to leave its host (design §5): because of a NoExecute taint of the Node, evaluated again each time
// and never stored; or because the host never had the resources to run the VM, and another host may have them.
import type { LinuxUtilityVMSpec, Toleration } from '../../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm-status.ts';
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { counted } from '../../../runtime/counted.ts';
import {
  essentialsOf,
  type Node,
  type SpecEssentials,
  type Taint,
  type VirtualMachine,
} from '../../kubernetes/objects.ts';
import type { Inventory } from '../knowledge/inventory.ts';
import type { Lookup } from '../knowledge/lookup.ts';
import { controllingSet } from '../knowledge/set-members.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import { asksBudget, isDrain, showTaint, taintEvictionOf } from '../knowledge/taints.ts';
import type { Verdict } from '../status/status.ts';

export type Eviction =
  | { readonly kind: 'None' }
  | { readonly kind: 'Later'; readonly milliseconds: number }
  /** The VM is stopped on its host until the taint is removed, because its manifest names the host. */
  | { readonly kind: 'Halt'; readonly verdict: Verdict }
  /** The VM is torn down there and placed again. */
  | { readonly kind: 'Move'; readonly verdict: Verdict };

const none: Eviction = { kind: 'None' };
/** A host that lacked resources is not tried again for this long if there is another one. */
const lackingMilliseconds = 10 * 60_000;
/** Nobody reports when another host has become able to take the VM. */
const lookAgainMilliseconds = 5_000;
const remembered = 10_000;
const shownSets = 3;

export class Evictions {
  readonly #nodes: Lookup<Node>;
  readonly #inventory: Inventory;
  readonly #clock: Clock;
  /** When a taint was first seen, by Node and taint. */
  readonly #noticed = new Map<string, number>();
  /** Hosts that lacked resources, by uid of the VM. */
  readonly #lacking = new Map<string, Map<string, number>>();

  constructor(nodes: Lookup<Node>, inventory: Inventory, clock: Clock) {
    this.#nodes = nodes;
    this.#inventory = inventory;
    this.#clock = clock;
  }

  /** `couldMove`: whether another host would take the VM. */
  of(object: VirtualMachine, nodeName: string, couldMove: (spec: LinuxUtilityVMSpec) => boolean): Eviction {
    const essentials = essentialsOf(object.spec);
    const node = withoutAsking(this.#nodes.get(nodeName), object);
    const byTaint = this.#taintEvictionFrom(node, essentials.tolerations);
    const milliseconds = byTaint === undefined ? Number.POSITIVE_INFINITY : byTaint.due - this.#clock.now();
    if (byTaint !== undefined && milliseconds <= 0) return leave(essentials, drained(nodeName, byTaint.taint));
    const spec = object.spec.ok ? object.spec.value : undefined;
    if (spec !== undefined && spec.nodeName === undefined && this.lacksResources(object, nodeName)) {
      this.#rememberLacking(object.metadata.uid, nodeName);
      const message = `${nodeName} has not the resources to run it; moving to another host`;
      if (couldMove(spec)) return { kind: 'Move', verdict: { reason: 'InsufficientResources', message } };
      return { kind: 'Later', milliseconds: Math.min(milliseconds, lookAgainMilliseconds) };
    }
    return byTaint === undefined ? none : { kind: 'Later', milliseconds };
  }

  /**
   * Milliseconds until a drain asks the set of the VM to let it leave its host; undefined if none does. The set's budget
   * says when it may.
   */
  untilAsked({ spec, status }: VirtualMachine): number | undefined {
    const node = status.nodeName === undefined ? undefined : this.#nodes.get(status.nodeName);
    if (node === undefined) return undefined;
    const asking = { ...node, spec: { ...node.spec, taints: node.spec.taints.filter(asksBudget) } };
    const byTaint = this.#taintEvictionFrom(asking, essentialsOf(spec).tolerations);
    return byTaint === undefined ? undefined : Math.max(0, byTaint.due - this.#clock.now());
  }

  /** What a drain of the host waits for, by the names of sets; undefined while no drain asks their budgets. */
  drainOf(nodeName: string, machines: Iterable<VirtualMachine>): string | undefined {
    if (this.#nodes.get(nodeName)?.spec.taints.some(isDrain) !== true) return undefined;
    const waiting = new Map<string, number>();
    for (const object of machines) {
      const set = controllingSet(object.metadata)?.name;
      if (set === undefined || isAllowed(object) || this.untilAsked(object) !== 0) continue;
      const name = `${object.metadata.namespace ?? ''}/${set}`;
      waiting.set(name, (waiting.get(name) ?? 0) + 1);
    }
    if (waiting.size === 0) return 'VMs leave the host; no set keeps one of them back';
    const shown = [...waiting].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, shownSets);
    return `waits for the budgets of ${shown.map(([name, count]) => `${name} (${counted(count, 'VM')})`).join(', ')}`;
  }

  /** Why a host cannot take a VM although its taints are tolerated for a limited time. */
  outlasted(node: Node, tolerations: readonly Toleration[]): string | undefined {
    const byTaint = this.#taintEvictionFrom(node, tolerations);
    if (byTaint === undefined || byTaint.due > this.#clock.now()) return undefined;
    return `toleration of ${showTaint(byTaint.taint)} expired`;
  }

  /** Hosts that recently lacked the resources for a VM. */
  lackingFor(uid: string): readonly string[] {
    const now = this.#clock.now();
    const hosts = [...(this.#lacking.get(uid) ?? [])];
    return hosts.filter(([, since]) => now - since <= lackingMilliseconds).map(([nodeName]) => nodeName);
  }

  /** Milliseconds until the first of them is tried again; undefined if there is none. */
  untilTriedAgain(uid: string): number | undefined {
    const lacking = this.#lacking.get(uid);
    const names = this.lackingFor(uid);
    if (names.length === 0) return undefined;
    const since = Math.min(...names.map((nodeName) => lacking?.get(nodeName) ?? Number.POSITIVE_INFINITY));
    return since + lackingMilliseconds + 1 - this.#clock.now();
  }

  /** Whether the Node, as just read, still makes the VM leave. */
  confirms(object: VirtualMachine, node: Node): boolean {
    const byTaint = this.#taintEvictionFrom(withoutAsking(node, object), essentialsOf(object.spec).tolerations);
    return byTaint !== undefined && byTaint.due <= this.#clock.now();
  }

  forget(uid: string): void {
    this.#lacking.delete(uid);
  }

  #taintEvictionFrom(node: Node | undefined, tolerations: readonly Toleration[] = []) {
    if (node === undefined || node.spec.taints.length === 0) return undefined;
    return taintEvictionOf(node.spec.taints, tolerations, (taint) => this.#noticedAt(node, taint));
  }

  #noticedAt({ metadata }: Node, taint: Taint): number {
    const key = [metadata.uid, taint.key, taint.value, taint.effect].join('\0');
    const at = this.#noticed.get(key) ?? this.#clock.now();
    this.#noticed.delete(key);
    this.#noticed.set(key, at);
    bound(this.#noticed);
    return at;
  }

  /** The VM was never up on this host, and its agent says why, or said so before it gave up the VM. */
  lacksResources({ metadata, status }: VirtualMachine, nodeName: string): boolean {
    const observed = this.#inventory.reportOf(nodeName, metadata.uid)?.observed;
    if (hasStartedThere(status, observed)) return false;
    const conditions = observed?.conditions ?? status.conditions ?? [];
    // A failed creation sets the first condition, a failed start the second.
    return conditions.some(
      ({ type, status: is, reason }) =>
        (type === 'Created' || type === 'Ready') && is === 'False' && reason === 'InsufficientResources',
    );
  }

  #rememberLacking(uid: string, nodeName: string): void {
    const hosts = this.#lacking.get(uid) ?? new Map<string, number>();
    this.#lacking.set(uid, hosts.set(nodeName, this.#clock.now()));
    bound(hosts);
    bound(this.#lacking);
  }
}

/**
 * According to the agent's journal, and to the time at which the VM came to the host, because a journal can be lost.
 */
function hasStartedThere(status: LinuxUtilityVMStatus, observed: ObservedVirtualMachine | undefined): boolean {
  const startTime = observed?.startTime ?? status.startTime;
  if (startTime === undefined) return false;
  if (observed?.startedOnHost !== false) return true;
  const scheduled = conditionOf(status.conditions, 'Scheduled');
  return scheduled?.status !== 'True' || Date.parse(startTime) >= Date.parse(scheduled.lastTransitionTime);
}

/** A VM of a set leaves because of `lcow.dev/drain` only once its set has stored that it may. */
function withoutAsking<T extends Node | undefined>(node: T, { metadata, status }: VirtualMachine): T {
  if (node === undefined || !node.spec.taints.some(asksBudget) || controllingSet(metadata) === undefined) return node;
  if (isAllowed({ status })) return node;
  return { ...node, spec: { ...node.spec, taints: node.spec.taints.filter((taint) => !asksBudget(taint)) } };
}

/** The set of the VM has stored that a drain may take it away. */
function isAllowed({ status }: Pick<VirtualMachine, 'status'>): boolean {
  return conditionOf(status.conditions, 'Evicting')?.status === 'True';
}

function leave({ nodeName }: SpecEssentials, verdict: Verdict): Eviction {
  return { kind: nodeName === undefined ? 'Move' : 'Halt', verdict };
}

function drained(nodeName: string, taint: Taint): Verdict {
  return { reason: 'HostDrained', message: `${nodeName} is being drained by the taint ${showTaint(taint)}` };
}

function bound(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= remembered) return;
    map.delete(oldest);
  }
}
