// An API server in simulated time: a store with versions, watches that lag behind it, and the faults of a network, of
// etcd and of the server itself. It serves what the operator asks for, over the operator's own transport.
import { z } from 'zod';
import type { ClusterAccess } from '../../../operator/kubernetes/cluster-access.ts';
import type { Answer, Message, OpenedAnswer } from '../../../operator/kubernetes/transport.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';
import { Answers, type Reviews, refusalAnswer } from './answers.ts';
import { SimulatedCluster } from './cluster.ts';
import { type ApiServerSettings, Faults } from './faults.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { type KindName, type ServedKind, servedKinds } from './kinds.ts';
import type { StoredObject } from './objects.ts';
import { Refusal } from './refusal.ts';
import { type Routed, routeOf } from './route.ts';
import { type Selection, selectionOf } from './selection.ts';
import { type Backup, Store, type Write } from './store.ts';
import { type Server, SimulatedTransport } from './transport.ts';
import { WatchConnection } from './watch-connection.ts';

export interface SimulatedApiServerOptions extends Partial<Reviews> {
  readonly world: World;
  readonly settings?: ApiServerSettings;
  /** Called for each fault that occurs. */
  readonly injected?: (kind: string) => void;
  /** Called for each change of an object. */
  readonly onWrite?: (write: Write) => void;
}

const source = 'api: server';
const downMilliseconds = { minimum: 500, spread: 10_000 } as const;
const watchQuery = z.object({ resourceVersion: z.coerce.number(), timeoutSeconds: z.coerce.number() });

export class SimulatedApiServer implements Server {
  readonly users: SimulatedCluster;
  incarnation = 1;
  isDown = false;
  /** A request that was sent long ago takes effect. */
  isServingLate = false;
  readonly #world: World;
  readonly #store: Store;
  readonly #answers: Answers;
  readonly #faults: Faults;
  readonly #collector: GarbageCollector;
  readonly #watches = new Set<WatchConnection>();
  readonly #cutOff = new Set<Process>();
  #touches = 0;

  constructor(options: SimulatedApiServerOptions) {
    const { world, settings = {}, injected = () => {}, onWrite } = options;
    const clock = world.clock(source);
    const faults = new Faults(world, settings, injected);
    const store = new Store({
      elapsed: () => world.elapsed,
      now: clock.now,
      uid: () => faults.chance('uids').uuid(),
      onWrite: (write) => {
        this.#collector.noticed(write);
        onWrite?.(write);
      },
    });
    this.#world = world;
    this.#faults = faults;
    this.#store = store;
    this.#collector = new GarbageCollector(world, store, faults);
    this.#answers = new Answers({ store, faults, reviews: reviewsOf(options), elapsed: () => world.elapsed });
    this.users = new SimulatedCluster(store);
  }

  /** The way of a process to the server. Each call opens connections of its own. */
  accessFor(process: Process): ClusterAccess {
    const transport = new SimulatedTransport({ process, server: this, faults: this.#faults });
    process.onDeath(() => {
      this.#cutOff.delete(process);
      for (const watch of this.#watches) if (watch.process === process) watch.end();
    });
    const credentials = { headers: {}, transport };
    return { server: new URL('http://api.invalid'), credentials: () => Promise.resolve(credentials) };
  }

  /** The objects of a kind as they are stored. */
  contents(kind: KindName): readonly StoredObject[] {
    return this.users.list(kind);
  }

  /**
   * All connections break, and for some seconds nobody answers. The new server does not know which changes led to the
   * current state: it refuses watches and lists that continue from an older one.
   */
  restart(): void {
    this.#faults.count('restart');
    for (const { kind } of servedKinds) this.#store.collection(kind).compact(this.#store.revision);
    this.#stop();
  }

  backUp(): Backup {
    return this.#store.backUp();
  }

  /** Puts an older state into etcd, and restarts the server. */
  restore(backup: Backup): void {
    this.#faults.count('restore');
    this.#store.restore(backup);
    this.#collector.lookLater();
    this.#stop();
  }

  /** While `on`, nothing that one side sends reaches the other. */
  partition(process: Process, on: boolean): void {
    if (on === this.isCutOff(process) || !process.isAlive) return;
    if (on) {
      this.#faults.count('partition');
      this.#cutOff.add(process);
    } else this.#cutOff.delete(process);
    for (const watch of this.#watches) {
      if (watch.process !== process) continue;
      if (on) watch.hold();
      else watch.release();
    }
  }

  /** From now on no fault occurs, and partitions end. */
  endFaults(): void {
    this.#faults.end();
    for (const process of [...this.#cutOff]) this.partition(process, false);
  }

  isCutOff(process: Process): boolean {
    return this.#cutOff.has(process);
  }

  answer(request: Message, process: Process): Answer {
    const routed = routedOf(request);
    return routed instanceof Refusal ? refusalAnswer(routed) : this.#answers.to(request, routed, process.name);
  }

  open(request: Message, process: Process): OpenedAnswer {
    try {
      const { route, query } = routeOf(request);
      if (route.about !== 'Collection' || query.get('watch') !== 'true') return this.answer(request, process);
      const watch = this.#watch(request, process, route.kind, selectionOf(route.namespace, query), query);
      return { status: 200, retryAfter: undefined, text: '', lines: watch.lines };
    } catch (error) {
      if (error instanceof Refusal) return refusalAnswer(error);
      throw error;
    }
  }

  /** Annotates the object that the request is about. */
  touch(request: Message): boolean {
    const routed = routedOf(request);
    if (routed instanceof Refusal || routed.route.about !== 'Object') return false;
    const { kind, key } = routed.route;
    if (this.#store.collection(kind.kind).get(key) === undefined) return false;
    this.#touches += 1;
    const patch = { metadata: { annotations: { 'example.com/touched': String(this.#touches) } } };
    this.#store.update(kind, key, { patch }, 'Main', 'somebody');
    return true;
  }

  #watch(
    { idleMilliseconds, signal }: Message,
    process: Process,
    { apiVersion, kind }: ServedKind,
    isMeant: Selection,
    query: URLSearchParams,
  ): WatchConnection {
    const asked = watchQuery.safeParse(Object.fromEntries(query));
    if (!asked.success) throw new Refusal('BadRequest', asked.error.message);
    const { resourceVersion: from, timeoutSeconds } = asked.data;
    const collection = this.#store.collection(kind);
    const stop = collection.onChange((change) => {
      if (change.revision > from && isMeant(change.version.object)) watch.send(change);
    });
    const watch = new WatchConnection({
      process,
      faults: this.#faults,
      from,
      revision: () => this.#store.revision,
      apiVersion,
      kind,
      timeoutMilliseconds: timeoutSeconds * 1_000,
      idleMilliseconds,
      signal,
      onEnd: (ended) => {
        stop();
        this.#watches.delete(ended);
      },
    });
    this.#watches.add(watch);
    const missed = collection.since(from);
    if (missed === undefined) watch.refuse(new Refusal('Expired', `too old resource version: ${from}`));
    for (const change of missed ?? []) if (isMeant(change.version.object)) watch.send(change);
    return watch;
  }

  #stop(): void {
    this.incarnation += 1;
    const { incarnation } = this;
    this.isDown = true;
    for (const watch of [...this.#watches]) watch.lose();
    const pause = downMilliseconds.minimum + downMilliseconds.spread * this.#faults.chance('restarts').number();
    this.#world.after(pause, source, () => {
      if (this.incarnation === incarnation) this.isDown = false;
    });
  }
}

function routedOf(request: Message): Routed | Refusal {
  try {
    return routeOf(request);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

function reviewsOf(options: Partial<Reviews>): Reviews {
  const { reviewToken = () => undefined, reviewAccess = () => true, keySet = () => ({ keys: [] }) } = options;
  return { reviewToken, reviewAccess, keySet };
}
