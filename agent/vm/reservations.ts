// Reservations: which VM uses which resources of the host (docs/design.md §10). A VM reserves before its first effect,
// and gives a reservation back once nothing of the VM can use the resource any more. VMs that come too late wait in the
// order of their requests. They hold nothing meanwhile, so there is no deadlock. A resource that becomes free goes to
// the first VM that can then get everything it needs.
import { type HostResource, isBelowFolder } from '../preparation/host-resources.ts';

export interface Holder {
  readonly uid: string;
  /** Absent for a VM that only HCS knew. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

export interface Conflict {
  /** The resource as the waiting VM wants it. */
  readonly resource: HostResource;
  /** Absent when the holder is a running VM whose resources are unknown. */
  readonly holder?: Holder;
  /** The key of the resource that the holder has; absent when it is unknown. */
  readonly held?: string;
}

interface Use {
  readonly alone: Map<string, Holder>;
  readonly shared: Map<string, Holder>;
}

interface Waiter {
  readonly holder: Holder;
  readonly wanted: readonly HostResource[];
  readonly onReserved: () => void;
  /** The place in the order of the requests. */
  readonly ticket: number;
  blockedBy: string;
}

/** Stands for the unknown resources of a VM. */
const anything = '';

export class Reservations {
  readonly #held = new Map<string, readonly HostResource[]>();
  readonly #uses = new Map<string, Use>();
  readonly #unknown = new Map<string, Holder>();
  readonly #waiters = new Map<string, Waiter>();
  /** Waiting VMs by the resource that blocks them. */
  readonly #queues = new Map<string, Set<string>>();
  #nextTicket = 0;

  of(uid: string): readonly HostResource[] {
    return this.#held.get(uid) ?? [];
  }

  /**
   * Replaces the VM's reservations by these, all or none. Returns the first conflict when one of the resources is not
   * free.
   */
  reserve(holder: Holder, wanted: readonly HostResource[]): Conflict | undefined {
    const conflict = this.#conflictOf(holder.uid, wanted);
    if (conflict !== undefined) return conflict;
    this.leaveQueue(holder.uid);
    this.hold(holder, wanted);
    return undefined;
  }

  /** Sets the VM's reservations without a check: the VM may already use all of these, or needs no more than these. */
  hold(holder: Holder, resources: readonly HostResource[]): void {
    const freed = this.#drop(holder.uid);
    if (resources.length > 0) this.#held.set(holder.uid, resources);
    for (const resource of resources) {
      const use = this.#useOf(keyOf(resource));
      (resource.exclusive ? use.alone : use.shared).set(holder.uid, holder);
    }
    for (const key of freed) this.#serve(key);
  }

  /** The VM may run, and its resources are unknown. Meanwhile no other VM can reserve anything for exclusive use. */
  holdUnknown(uid: string): void {
    this.#unknown.set(uid, { uid });
  }

  /** Call this when nothing of the VM is left and it waits for nothing. */
  release(uid: string): void {
    this.leaveQueue(uid);
    this.hold({ uid }, []);
  }

  /** Calls back once, after everything was reserved for the VM. A VM that already waits keeps its place. */
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
    waiter.blockedBy = conflict.held ?? anything;
    this.#waiters.set(holder.uid, waiter);
    const queue = this.#queues.get(waiter.blockedBy) ?? new Set();
    this.#queues.set(waiter.blockedBy, queue.add(holder.uid));
  }

  #dequeue({ blockedBy, holder }: Waiter): void {
    const queue = this.#queues.get(blockedBy);
    queue?.delete(holder.uid);
    if (queue?.size === 0) this.#queues.delete(blockedBy);
  }

  /** Tries again to serve the VMs that waited for this resource, in the order of their requests. */
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
      const conflict = this.#conflictAt(uid, resource) ?? this.#conflictAcross(uid, resource);
      if (conflict !== undefined) return conflict;
    }
    return undefined;
  }

  #conflictAt(uid: string, resource: HostResource): Conflict | undefined {
    const held = keyOf(resource);
    const use = this.#uses.get(held);
    const holder = otherOf(uid, use?.alone) ?? (resource.exclusive ? otherOf(uid, use?.shared) : undefined);
    if (holder !== undefined) return { resource, holder, held };
    const isHeld = (resource.exclusive ? use?.alone : use?.shared)?.has(uid) === true;
    const isWritten = resource.exclusive || resource.kind === 'folder';
    return isWritten && !isHeld && otherOf(uid, this.#unknown) !== undefined ? { resource } : undefined;
  }

  /** Between a folder that is shared writable and a file below it. */
  #conflictAcross(uid: string, resource: HostResource): Conflict | undefined {
    if (resource.kind === 'pipe') return undefined;
    const keys = resource.kind === 'file' ? foldersAbove(resource.name) : this.#filesBelow(resource.name);
    for (const held of keys) {
      const use = this.#uses.get(held);
      const holder = otherOf(uid, use?.alone) ?? otherOf(uid, use?.shared);
      if (holder !== undefined) return { resource, holder, held };
    }
    return undefined;
  }

  *#filesBelow(folder: string): Generator<string> {
    for (const key of this.#uses.keys()) {
      if (key.startsWith(filePrefix) && isBelowFolder(key.slice(filePrefix.length), folder)) yield key;
    }
  }

  /** Drops the VM's reservations. Returns the keys of the resources that may be free now. */
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

const filePrefix = 'file:';

function keyOf({ kind, name }: Pick<HostResource, 'kind' | 'name'>): string {
  return `${kind}:${name}`;
}

/** The keys that folders above the file would have. */
function* foldersAbove(file: string): Generator<string> {
  for (let end = file.lastIndexOf('\\'); end > 0; end = file.lastIndexOf('\\', end - 1)) {
    yield keyOf({ kind: 'folder', name: file.slice(0, end) });
  }
}

function otherOf(uid: string, holders: ReadonlyMap<string, Holder> = new Map()): Holder | undefined {
  for (const holder of holders.values()) if (holder.uid !== uid) return holder;
  return undefined;
}
