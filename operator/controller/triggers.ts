// The events that make the operator reconcile an object: changes of objects, reports of agents, and sessions that begin
// or end. A trigger never decides anything; it only adds keys to the queues.
import type { Clock } from '../../runtime/clock.ts';
import { sameJson } from '../../runtime/same-json.ts';
import type { Caches } from '../kubernetes/caches.ts';
import type { Host, MachineSet, Node, VirtualMachine } from '../kubernetes/objects.ts';
import type { Change } from '../kubernetes/reflector.ts';
import { Waves } from '../queue/waves.ts';
import type { WorkQueue } from '../queue/work-queue.ts';
import type { Hosts } from './hosts.ts';
import type { Agents } from './instructions/agents.ts';
import type { Disconnections } from './knowledge/disconnections.ts';
import type { Inventory } from './knowledge/inventory.ts';
import { awaitsRoom } from './knowledge/rest.ts';
import { isDrain } from './knowledge/taints.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import { type MisplacedMachines, misplacedDelayMilliseconds } from './misplaced-machines.ts';
import type { Fleet } from './placement/fleet.ts';

export interface TriggersOptions {
  readonly clock: Clock;
  readonly caches: Caches;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly hosts: Hosts;
  readonly agents: Agents;
  readonly disconnections: Disconnections;
  readonly misplaced: MisplacedMachines;
  readonly fleet: Pick<Fleet, 'roomMayHaveComeUp' | 'isStrictlySpread'>;
  readonly machineQueue: WorkQueue;
  readonly hostQueue: WorkQueue;
  readonly misplacedQueue: WorkQueue;
  readonly forget: (uid: string) => void;
}

/** Counts in a host's status change with each of its VMs. They are written at most this often. */
const hostCountsMilliseconds = 3_000;

export class Triggers {
  readonly #options: TriggersOptions;
  #subscriptions: (() => void)[] = [];
  readonly #waves: Waves;

  constructor(options: TriggersOptions) {
    this.#options = options;
    const { clock, machineQueue } = options;
    this.#waves = new Waves({
      clock,
      waiting: () => this.#waiting(),
      namespaceOf,
      wake: (key) => machineQueue.add(key),
    });
  }

  /** Call once the objects are known. Hosts whose agents never connect must be noticed, too. */
  start(): void {
    const { machines, caches, disconnections, hostQueue, inventory, hosts } = this.#options;
    inventory.onReport((nodeName, uid) => this.#reported(nodeName, uid));
    this.#subscriptions = [
      this.#onMachines(),
      caches.hosts.onChange((change) => {
        if (change.type === 'Applied') hosts.observe(change.object);
        machines.reviewHost(change.key);
        hostQueue.addAfter(change.key, hostCountsMilliseconds);
        if (change.type === 'Deleted' || !onlyCountsDiffer(change.previous, change.object)) this.#wakeUnplaced();
      }),
      caches.nodes.onChange((change) => {
        if (change.type === 'Applied') this.#nodeIs(change);
        machines.reviewHost(change.key);
        if (change.type === 'Deleted' || taintsDiffer(change.previous, change.object)) this.#wakeMachinesOn(change.key);
        if (change.type === 'Deleted' || mayTakeOthers(change.previous, change.object)) this.#wakeUnplaced();
      }),
      caches.sets.onChange((change) => {
        if (change.type === 'Applied' && !sameSpread(change.previous, change.object)) this.#wakeUnplaced();
      }),
    ];
    const nodeNames = new Set([...caches.hosts.values()].map(({ metadata }) => metadata.name));
    for (const { status } of machines.all()) if (status.nodeName !== undefined) nodeNames.add(status.nodeName);
    for (const nodeName of nodeNames) disconnections.watch(nodeName);
  }

  #nodeIs(change: Extract<Change<Node>, { type: 'Applied' }>): void {
    const { agents, hostQueue } = this.#options;
    agents.nodeIs(change.key, change.object.metadata.uid);
    if (this.#lacksRecord(change.key) || isDrainNews(change)) hostQueue.add(change.key);
  }

  /** The record of a host needs its Node: it could not be restored while the Node of a connected agent was gone. */
  #lacksRecord(nodeName: string): boolean {
    const { caches, inventory } = this.#options;
    return inventory.isConnected(nodeName) && caches.hosts.get(nodeName) === undefined;
  }

  stop(): void {
    for (const end of this.#subscriptions.splice(0)) end();
    this.#waves.stop();
  }

  /** Reconciles every VM and every host. */
  resync(): void {
    const { machines, machineQueue, hostQueue, misplacedQueue, caches } = this.#options;
    for (const key of machines.keys()) machineQueue.add(key);
    for (const { metadata } of caches.hosts.values()) {
      hostQueue.add(metadata.name);
      misplacedQueue.add(metadata.name);
    }
  }

  /** Reconciles the records of all hosts, after something changed that all of them tell. */
  allHosts(): void {
    const { caches, hostQueue } = this.#options;
    for (const { metadata } of caches.hosts.values()) hostQueue.add(metadata.name);
  }

  /** The agent has told something new about its host. */
  hostChanged(nodeName: string): void {
    this.#options.hostQueue.add(nodeName);
  }

  /** The session of the node is live. */
  live(nodeName: string): void {
    const { inventory, hostQueue } = this.#options;
    this.#wakeMachinesOn(nodeName);
    for (const uid of inventory.reportedOn(nodeName).keys()) this.#reported(nodeName, uid);
    hostQueue.add(nodeName);
    this.#wakeUnplaced();
  }

  /** The node has no session any more. */
  ended(nodeName: string): void {
    const { disconnections, inventory, machines } = this.#options;
    inventory.end(nodeName, (uid) => machines.keyOfUid(uid) !== undefined);
    disconnections.watch(nodeName);
  }

  #onMachines(): () => void {
    const { caches, machines, machineQueue, hostQueue, forget } = this.#options;
    return caches.machines.onChange((change) => {
      // The answer to our own write was processed at once; the watch reports nothing new.
      const isNews = !machines.has(change.object);
      machines.observe(change);
      const { nodeName } = change.object.status;
      if (nodeName !== undefined) hostQueue.addAfter(nodeName, hostCountsMilliseconds);
      this.#suspectHolders(change);
      if (change.type === 'Deleted') {
        forget(change.object.metadata.uid);
        this.#wakeUnplaced();
      } else {
        if (isNews) machineQueue.add(change.key);
        if (this.#mayLetOthersIn(change)) this.#wakeUnplaced();
      }
    });
  }

  /** The VM rests, left its host, or has or asks for less, or it was placed, which lets another VM of its set be placed. */
  #mayLetOthersIn({ object, previous }: Extract<Change<VirtualMachine>, { type: 'Applied' }>): boolean {
    const { machines, fleet } = this.#options;
    if (previous !== undefined && machines.gaveUpRoom(previous, object)) return true;
    return object.status.nodeName !== previous?.status.nodeName && fleet.isStrictlySpread(object);
  }

  /** Checks the hosts that still have a VM whose object has just left them. */
  #suspectHolders(change: Change<VirtualMachine>): void {
    const { inventory, misplacedQueue } = this.#options;
    const { metadata, status } = change.object;
    if (change.type === 'Applied' && change.previous?.status.nodeName === status.nodeName) return;
    for (const holder of inventory.holdersOf(metadata.uid)) misplacedQueue.addAfter(holder, misplacedDelayMilliseconds);
  }

  #reported(nodeName: string, uid: string): void {
    const { machines, machineQueue, hostQueue, misplacedQueue, misplaced } = this.#options;
    const key = machines.keyOfUid(uid);
    if (key !== undefined) machineQueue.add(key);
    if (misplaced.isSuspect(nodeName, uid)) misplacedQueue.addAfter(nodeName, misplacedDelayMilliseconds);
    hostQueue.addAfter(nodeName, hostCountsMilliseconds);
  }

  #wakeMachinesOn(nodeName: string): void {
    for (const key of this.#options.machines.keysOn(nodeName)) this.#options.machineQueue.add(key);
  }

  #wakeUnplaced(): void {
    this.#options.fleet.roomMayHaveComeUp();
    this.#waves.request();
  }

  *#waiting(): Iterable<string> {
    const { machines } = this.#options;
    for (const key of machines.keys()) {
      const object = machines.get(key);
      if (object === undefined || awaitsRoom(object)) yield key;
    }
  }
}

export function namespaceOf(key: string): string {
  return key.slice(0, Math.max(0, key.indexOf('/')));
}

/** Counts, which the operator itself writes most often, free no room. */
function onlyCountsDiffer(before: Host | undefined, after: Host): boolean {
  if (before === undefined) return false;
  const { virtualMachines: _before, ...statusBefore } = before.status;
  const { virtualMachines: _after, ...statusAfter } = after.status;
  return sameJson(statusBefore, statusAfter) && sameJson(before.spec, after.spec);
}

/** Kubelets' heartbeats change Nodes all the time. Placement reads only this part. */
function mayTakeOthers(before: Node | undefined, after: Node): boolean {
  const read = ({ metadata: { uid, labels }, spec, status }: Node) => ({ uid, labels, spec, status });
  return before === undefined || !sameJson(read(before), read(after));
}

function sameSpread(before: MachineSet | undefined, after: MachineSet): boolean {
  const read = ({ spec }: MachineSet) => (spec.ok ? spec.value.topologySpreadConstraints : undefined);
  return before === undefined || sameJson(read(before), read(after));
}

/** The record of a host shows that it is being drained. A cache that was just filled is no news. */
function isDrainNews({ previous, object }: Extract<Change<Node>, { type: 'Applied' }>): boolean {
  return previous !== undefined && previous.spec.taints.some(isDrain) !== object.spec.taints.some(isDrain);
}

function taintsDiffer(before: Node | undefined, after: Node): boolean {
  return JSON.stringify(before?.spec.taints) !== JSON.stringify(after.spec.taints);
}
