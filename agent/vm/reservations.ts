// Who uses what of the host (docs/design.md §10). A reservation is taken before the first effect of a VM and given back once
// nothing of the VM can use the resource any more. Who comes too late waits in the order of asking and holds nothing
// meanwhile, so nobody can wait in a circle; what comes free goes to the first whose whole need it satisfies.
import type { HostResource } from '../preparation/host-resources.ts';

export interface Holder {
  readonly uid: string;
  /** Absent for a VM that only HCS knew. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

export interface Conflict {
  /** As the VM wants it that has to wait. */
  readonly resource: HostResource;
  /** Absent: a VM runs of which nobody knows what it uses. */
  readonly holder?: Holder;
}

interface Use {
  readonly alone: Map<string, Holder>;
  readonly shared: Map<string, Holder>;
}

interface Waiter {
  readonly holder: Holder;
  readonly wanted: readonly HostResource[];
  readonly onReserved: () => void;
  /** Of the order of asking. */
  readonly ticket: number;
  blockedBy: string;
}

/** Stands for what a VM may use of which nothing is known. */
const anything = '';

export class Reservations {
  readonly #held = new Map<string, readonly HostResource[]>();
  readonly #uses = new Map<string, Use>();
  readonly #unknown = new Map<string, Holder>();
  readonly #waiters = new Map<string, Waiter>();
  /** Waiters by what keeps them waiting. */
  readonly #queues = new Map<string, Set<string>>();
  #nextTicket = 0;

  of(uid: string): readonly HostResource[] {
    return this.#held.get(uid) ?? [];
  }

  /** All or nothing, in place of what the VM has. The first conflict when something is not free. */
  reserve(holder: Holder, wanted: readonly HostResource[]): Conflict | undefined {
    const conflict = this.#conflictOf(holder.uid, wanted);
    if (conflict !== undefined) return conflict;
    this.leaveQueue(holder.uid);
    this.hold(holder, wanted);
    return undefined;
  }

  /** Without asking: the VM may have all of this, or has no more than this. */
  hold(holder: Holder, resources: readonly HostResource[]): void {
    const freed = this.#drop(holder.uid);
    if (resources.length > 0) this.#held.set(holder.uid, resources);
    for (const resource of resources) {
      const use = this.#useOf(keyOf(resource));
      (resource.exclusive ? use.alone : use.shared).set(holder.uid, holder);
    }
    for (const key of freed) this.#serve(key);
  }

  /** The VM may run, and nobody knows what it uses: nothing is given out for one alone meanwhile. */
  holdUnknown(uid: string): void {
    this.#unknown.set(uid, { uid });
  }

  /** Nothing of the VM is left, and it wants nothing. */
  release(uid: string): void {
    this.leaveQueue(uid);
    this.hold({ uid }, []);
  }

  /** Calls back once, when all of it has been reserved for the VM. Who waits already keeps its place. */
  wait(holder: Holder, wanted: readonly HostResource[], onReserved: () => void): void {
    const ticket = this.#waiters.get(holder.uid)?.ticket ?? this.#nextTicket;
    if (ticket === this.#nextTicket) this.#nextTicket += 1;
    this.leaveQueue(holder.uid);
    this.#enqueue({ holder, wanted, onReserved, ticket, blockedBy: anything });
  }

  isWaiting(uid: string): boolean {
    return this.#waiters.has(uid);
  }

  leaveQueue(uid: string): void {
    const waiter = this.#waiters.get(uid);
    if (waiter === undefined) return;
    this.#waiters.delete(uid);
    this.#dequeue(waiter);
  }

  #enqueue(waiter: Waiter): void {
    const { holder, onReserved, wanted } = waiter;
    const conflict = this.#conflictOf(holder.uid, wanted);
    if (conflict === undefined) {
      this.#waiters.delete(holder.uid);
      this.hold(holder, wanted);
      onReserved();
      return;
    }
    waiter.blockedBy = conflict.holder === undefined ? anything : keyOf(conflict.resource);
    this.#waiters.set(holder.uid, waiter);
    const queue = this.#queues.get(waiter.blockedBy) ?? new Set();
    this.#queues.set(waiter.blockedBy, queue.add(holder.uid));
  }

  #dequeue({ blockedBy, holder }: Waiter): void {
    const queue = this.#queues.get(blockedBy);
    queue?.delete(holder.uid);
    if (queue?.size === 0) this.#queues.delete(blockedBy);
  }

  /** Looks again at those that waited for this, the first to ask first. */
  #serve(key: string): void {
    const waiting = [...(this.#queues.get(key) ?? [])].flatMap((uid) => this.#waiters.get(uid) ?? []);
    for (const waiter of waiting.sort((a, b) => a.ticket - b.ticket)) {
      if (this.#isTakenAlone(key)) return;
      this.#dequeue(waiter);
      this.#enqueue(waiter);
    }
  }

  #isTakenAlone(key: string): boolean {
    return (this.#uses.get(key)?.alone.size ?? 0) > 0;
  }

  #conflictOf(uid: string, wanted: readonly HostResource[]): Conflict | undefined {
    for (const resource of wanted) {
      const use = this.#uses.get(keyOf(resource));
      const holder = otherOf(uid, use?.alone) ?? (resource.exclusive ? otherOf(uid, use?.shared) : undefined);
      if (holder !== undefined) return { resource, holder };
      const isHeld = use?.alone.has(uid) === true;
      if (resource.exclusive && !isHeld && otherOf(uid, this.#unknown) !== undefined) return { resource };
    }
    return undefined;
  }

  /** What is free now, or might be. */
  #drop(uid: string): readonly string[] {
    const freed = this.of(uid).map(keyOf);
    for (const key of freed) {
      const use = this.#useOf(key);
      use.alone.delete(uid);
      use.shared.delete(uid);
      if (use.alone.size + use.shared.size === 0) this.#uses.delete(key);
    }
    this.#held.delete(uid);
    return this.#unknown.delete(uid) ? [...freed, anything] : freed;
  }

  #useOf(key: string): Use {
    const use = this.#uses.get(key) ?? { alone: new Map(), shared: new Map() };
    this.#uses.set(key, use);
    return use;
  }
}

function keyOf({ kind, name }: HostResource): string {
  return `${kind}:${name}`;
}

function otherOf(uid: string, holders: ReadonlyMap<string, Holder> = new Map()): Holder | undefined {
  for (const holder of holders.values()) if (holder.uid !== uid) return holder;
  return undefined;
}
