// The controllers together: four queues (VMs, hosts, VMs without a host, sets), the parts that they share, and their
// triggers.
import type { Logger } from 'pino';
import type { NetworkFacts } from '../../protocol/network-facts.ts';
import type { Clock, Random, RandomUUID } from '../../runtime/clock.ts';
import type { Outcome } from '../kubernetes/api-error.ts';
import { type Caches, type Clients, machineKind } from '../kubernetes/caches.ts';
import { type EventObserver, EventRecorder } from '../kubernetes/events.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { compact, essentialsOf, objectKey, parseVirtualMachine, type VirtualMachine } from '../kubernetes/objects.ts';
import { collectionPath } from '../kubernetes/resource-client.ts';
import { list } from '../kubernetes/watch.ts';
import { KeyedAllowances } from '../queue/keyed-allowances.ts';
import { type QueueObserver, type QueueOptions, WorkQueue } from '../queue/work-queue.ts';
import { Hosts } from './hosts.ts';
import type { Agents, Told } from './instructions/agents.ts';
import { eachTold } from './instructions/each-told.ts';
import { ReferenceReader } from './instructions/references.ts';
import { Disconnections } from './knowledge/disconnections.ts';
import { allocatableMemoryInMB } from './knowledge/host-capacity.ts';
import { Inventory } from './knowledge/inventory.ts';
import { NodeStates } from './knowledge/node-state.ts';
import type { Restoration } from './knowledge/restoration.ts';
import { SteadyClock } from './knowledge/steady-clock.ts';
import type { Uninstallation } from './knowledge/uninstallation.ts';
import { VirtualMachines } from './knowledge/virtual-machines.ts';
import { inReconcileOf } from './log-context.ts';
import { listRate, MisplacedMachines } from './misplaced-machines.ts';
import { Evictions } from './placement/evictions.ts';
import { Fleet } from './placement/fleet.ts';
import { Reconciler } from './reconcile.ts';
import { Relocation } from './relocation.ts';
import { SetReconciler } from './sets/set-reconciler.ts';
import type { SetObserver } from './sets/set-status-writer.ts';
import { SetTriggers } from './sets/set-triggers.ts';
import { Starts } from './starts.ts';
import { NodeWrites } from './status/node-writes.ts';
import { Pacing } from './status/pacing.ts';
import { PatientEvents } from './status/patient-events.ts';
import { type StatusObserver, StatusWriter, statusRate } from './status/status-writer.ts';
import { Teardown } from './teardown.ts';
import { namespaceOf, Triggers } from './triggers.ts';

export interface ControllersObserver extends QueueObserver, EventObserver, StatusObserver, SetObserver {
  /** A host has a VM that its object does not place there. */
  misplaced(nodeName: string, uid: string): void;
}

export interface ControllersOptions {
  readonly http: KubeHttp;
  readonly caches: Caches;
  readonly clients: Clients;
  readonly agents: Agents;
  readonly observer: ControllersObserver;
  readonly restoration: Restoration;
  readonly uninstallation: Uninstallation;
  /** The time by which every earlier term was over (`Term`). */
  readonly othersEndedBy: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomUUID: RandomUUID;
  readonly replica: string;
  readonly logger: Logger;
}

const workers = { machines: 16, hosts: 4, foreign: 1, sets: 4 } as const;
const maximumKeys = 100_000;

export class Controllers {
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly hosts: Hosts;
  readonly triggers: Triggers;
  readonly #options: ControllersOptions;
  readonly #events: EventRecorder;
  readonly #patientEvents: PatientEvents;
  readonly #evictions: Evictions;
  readonly #fleet: Fleet;
  readonly #reconciler: Reconciler;
  readonly #setTriggers: SetTriggers;
  readonly #queues: readonly WorkQueue[];
  readonly #stopping = new AbortController();
  /** Measures for how long hosts have been away. */
  readonly #steady: SteadyClock;

  constructor(options: ControllersOptions) {
    this.#options = options;
    const { http, clock, randomUUID, replica, observer, caches, clients } = options;
    this.machines = this.#createMachines();
    this.#steady = new SteadyClock(clock);
    this.inventory = new Inventory(this.#steady);
    this.#events = new EventRecorder({ http, clock, randomUUID, instance: replica, observer });
    this.#patientEvents = new PatientEvents({
      clock,
      machines: this.machines,
      record: (event) => this.#events.record(event),
    });
    const pacing = new Pacing(clock);
    const writes = new NodeWrites(clock, (nodeName) => this.machines.keysOn(nodeName).size);
    const allowances = new KeyedAllowances(clock, statusRate, maximumKeys);
    this.#evictions = new Evictions(caches.nodes, this.inventory, clock);
    this.hosts = new Hosts({
      client: clients.hosts,
      nodes: clients.nodes,
      cache: caches.hosts,
      inventory: this.inventory,
      machines: this.machines,
      writes,
      restoration: options.restoration,
      uninstallation: options.uninstallation,
      drainOf: (nodeName) => this.#evictions.drainOf(nodeName, this.#machinesOn(nodeName)),
      clock,
      replica,
      onSuperseded: (nodeName) => this.#options.agents.surrender(nodeName),
    });
    this.#fleet = this.#createFleet();
    const writer = this.#createWriter(pacing, allowances, writes);
    this.#reconciler = this.#createReconciler(writer);
    const pass = (key: string) => inReconcileOf(key, () => this.#reconciler.reconcile(key));
    const machineQueue = this.#queue('machines', (key, lane) => writer.inLane(key, lane, () => pass(key)), {
      groupOf: namespaceOf,
      isUrgent: (key) => isDeletionOrStop(this.machines.get(key)),
    });
    const hostQueue = this.#queue('hosts', (key) => {
      this.#fleet.reviewRestoration();
      return this.hosts.reconcile(key);
    });
    const misplaced = this.#createMisplaced((key) => machineQueue.add(key));
    const misplacedQueue = this.#queue('foreign', (nodeName) => misplaced.reconcile(nodeName));
    const sets = this.#createSets((key) => machineQueue.add(key));
    const setQueue = this.#queue('sets', (key) => inReconcileOf(key, () => sets.reconcile(key)), {
      groupOf: namespaceOf,
    });
    this.#setTriggers = new SetTriggers({
      caches,
      machines: this.machines,
      queue: setQueue,
      forget: (uid) => sets.forget(uid),
    });
    this.#queues = [machineQueue, hostQueue, misplacedQueue, setQueue];
    this.triggers = new Triggers({
      clock,
      caches,
      machines: this.machines,
      inventory: this.inventory,
      hosts: this.hosts,
      agents: options.agents,
      disconnections: new Disconnections({
        clock: this.#steady,
        inventory: this.inventory,
        machines: this.machines,
        wakeHost: (nodeName) => hostQueue.add(nodeName),
        wakeMachine: (key, milliseconds) => machineQueue.addAfter(key, milliseconds),
      }),
      misplaced,
      fleet: this.#fleet,
      machineQueue,
      hostQueue,
      misplacedQueue,
      forget: (uid) => {
        pacing.forget(uid);
        allowances.forget(uid);
        this.#reconciler.forget(uid);
      },
    });
  }

  get queueDepths(): ReadonlyMap<string, number> {
    return new Map(this.#queues.map((queue) => [queue.name, queue.depth]));
  }

  /** The networks of a host have changed. */
  tellNetworks(nodeName: string, network: NetworkFacts): void {
    this.hosts.tellNetworks(nodeName, network);
    this.triggers.hostChanged(nodeName);
  }

  /** The desired state of all VMs of a host. A VM that cannot be sent now is left out: its host keeps it unchanged. */
  desired(nodeName: string): AsyncGenerator<Told> {
    const keys = [...this.machines.keysOn(nodeName)].sort();
    return eachTold(keys, (key) => this.#desired(key), this.#options.logger);
  }

  async #desired(key: string): Promise<Told | undefined> {
    const object = this.machines.get(key);
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return undefined;
    return await this.#reconciler.desired(object);
  }

  /** Reconciles everything, after a queue overflowed or writes were not allowed. */
  resync(): void {
    this.triggers.resync();
    this.#setTriggers.resync();
  }

  /** Call once the objects are known. */
  start(): void {
    this.triggers.start();
    this.#setTriggers.start();
    this.#options.uninstallation.start(() => this.triggers.allHosts());
  }

  /** Resolves when everything that was stored at the start has been reconciled, or after a stop. */
  async settled(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.drained()));
  }

  /** Writes that are under way finish first. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.triggers.stop();
    this.#setTriggers.stop();
    this.#steady.stop();
    this.#patientEvents.stop();
    await this.#options.uninstallation.stop();
    await Promise.all(this.#queues.map((queue) => queue.stop()));
    await this.#events.stop();
  }

  #createWriter(pacing: Pacing, allowances: KeyedAllowances, writes: NodeWrites): StatusWriter {
    const { clients, observer } = this.#options;
    return new StatusWriter({
      client: clients.machines,
      machines: this.machines,
      pacing,
      allowances,
      writes,
      record: (event) => this.#patientEvents.record(event),
      mayWriteFor: (nodeName) => this.hosts.mayWriteFor(nodeName),
      observer,
    });
  }

  #createReconciler(writer: StatusWriter): Reconciler {
    const { http, caches, clients, clock, agents } = this.#options;
    const { machines, inventory } = this;
    const client = clients.machines;
    const record = this.#events.record.bind(this.#events);
    const readNode = (name: string) => clients.nodes.get({ name });
    const evictions = this.#evictions;
    const fleet = this.#fleet;
    const nodeStates = new NodeStates(caches.nodes, caches.hosts, inventory, readNode, this.#steady);
    const { hosts } = this;
    const shared = { client, machines, inventory, fleet, nodeStates, hosts, agents, writer, clock };
    const teardown = new Teardown({ ...shared, record });
    const relocation = new Relocation({ client, readNode, inventory, evictions, agents });
    return new Reconciler({
      ...shared,
      teardown,
      evictions,
      relocation,
      starts: new Starts({ client, machines, inventory, fleet, agents }),
      restoration: this.#options.restoration,
      references: new ReferenceReader(http, clock),
    });
  }

  *#machinesOn(nodeName: string): Generator<VirtualMachine> {
    for (const key of this.machines.keysOn(nodeName)) {
      const object = this.machines.get(key);
      if (object !== undefined) yield object;
    }
  }

  #createSets(wakeMachine: (key: string) => void): SetReconciler {
    const { http, caches, clients, observer, clock } = this.#options;
    return new SetReconciler({
      http,
      clients,
      sets: caches.sets,
      machines: this.machines,
      untilAsked: (object) => this.#evictions.untilAsked(object),
      evict: async (object, verdict) => {
        const result = await this.#reconciler.evict(object, verdict);
        wakeMachine(objectKey(object.metadata));
        return result;
      },
      wakeMachine,
      record: (event) => this.#events.record(event),
      observer,
      clock,
      stop: this.#stopping.signal,
    });
  }

  #createMachines(): VirtualMachines {
    const { caches, restoration } = this.#options;
    const follower = {
      expect: (object: VirtualMachine) => caches.machines.expect(object),
      distrust: () => {
        restoration.suspect('the API server answered with an older state than before');
        caches.distrust();
      },
    };
    return new VirtualMachines(follower, (nodeName) => {
      const host = caches.hosts.get(nodeName);
      return host === undefined ? undefined : allocatableMemoryInMB(host, caches.nodes.get(nodeName));
    });
  }

  #createFleet(): Fleet {
    const { caches, restoration, othersEndedBy } = this.#options;
    const { hosts, nodes, sets } = caches;
    const { inventory, machines } = this;
    return new Fleet({
      hosts,
      nodes,
      sets,
      inventory,
      machines,
      evictions: this.#evictions,
      restoration,
      othersEndedBy,
    });
  }

  #createMisplaced(wake: (key: string) => void): MisplacedMachines {
    const { clients, agents, observer, clock } = this.#options;
    return new MisplacedMachines({
      client: clients.machines,
      listLive: () => this.#listLive(),
      readNode: (name) => clients.nodes.get({ name }),
      lists: new KeyedAllowances(clock, listRate, maximumKeys),
      machines: this.machines,
      inventory: this.inventory,
      fleet: this.#fleet,
      agents,
      record: this.#events.record.bind(this.#events),
      wake,
      onMisplaced: (nodeName, uid) => observer.misplaced(nodeName, uid),
    });
  }

  async #listLive(): Promise<Outcome<readonly VirtualMachine[]>> {
    const { http } = this.#options;
    const machines: VirtualMachine[] = [];
    const listed = await list(http, { path: collectionPath(machineKind) }, this.#stopping.signal, (items) => {
      for (const object of items.map((item) => parseVirtualMachine(item))) {
        if (object !== undefined) machines.push(compact(object));
      }
    });
    return listed.ok ? { ok: true, value: machines } : listed;
  }

  #queue(
    name: keyof typeof workers,
    work: QueueOptions['work'],
    order: Pick<QueueOptions, 'groupOf' | 'isUrgent'> = {},
  ): WorkQueue {
    const { clock, random, observer } = this.#options;
    const resync = () => this.resync();
    return new WorkQueue({
      name,
      clock,
      random,
      observer,
      concurrency: workers[name],
      maximumKeys,
      work,
      resync,
      ...order,
    });
  }
}

/** A pass that ends a VM goes before one that starts a VM: it frees resources, and its user is waiting. */
function isDeletionOrStop(object: VirtualMachine | undefined): boolean {
  if (object === undefined) return false;
  const { metadata, spec, status } = object;
  if (metadata.deletionTimestamp !== undefined) return true;
  const halted = essentialsOf(spec).runStrategy === 'Halted';
  return halted && status.nodeName !== undefined && status.observedGeneration !== metadata.generation;
}
