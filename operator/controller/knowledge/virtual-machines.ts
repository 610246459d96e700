// The VMs as this operator knows them: the watch's version, or the answer to our own last write while the watch has not
// caught up, so that nothing is decided twice. Indexed by uid and by host, with the memory promised to each host.

import { compact, objectKey, type VirtualMachine } from '../../kubernetes/objects.ts';
import type { Change, Outranked } from '../../kubernetes/reflector.ts';
import { isOlder } from '../../kubernetes/watch.ts';
import { holdsRoom, isStopped, isTornDown } from './rest.ts';
import { SetMembers } from './set-members.ts';

export interface Promised {
  readonly memoryInMB: number;
  readonly virtualMachines: number;
}

export const nothingPromised: Promised = { memoryInMB: 0, virtualMachines: 0 };

/** More than the number of objects that can disappear during one write. */
const rememberedGone = 10_000;

/** The cache that follows the API server. */
export interface Follower {
  /** Announces a version that the watch has not reported yet. */
  expect(object: VirtualMachine): void;
  /** The cluster has gone back in time: the cache's content is void. */
  distrust(): void;
}

const nobody: Follower = { expect: () => {}, distrust: () => {} };

/** What an object adds to its host. Kept, so that exactly the same is subtracted later. */
interface Entry {
  readonly nodeName: string;
  /** Of the host, when the promise was counted. */
  readonly capacityInMB: number | undefined;
  readonly promised: Promised;
}

export class VirtualMachines {
  readonly #follower: Follower;
  readonly #capacityInMB: (nodeName: string) => number | undefined;
  readonly #byKey = new Map<string, VirtualMachine>();
  readonly #keyOfUid = new Map<string, string>();
  readonly #keysOfNode = new Map<string, Set<string>>();
  readonly #members = new SetMembers();
  readonly #promised = new Map<string, Promised>();
  readonly #entries = new Map<string, Entry>();
  /** Uids of objects that the watch reported as new and that have not had a host since. */
  readonly #appeared = new Set<string>();
  /** Uids of deleted objects: the answer to a write may arrive after the watch has reported the deletion. */
  readonly #gone = new Set<string>();

  /** `capacityInMB`: how much could be promised on a host without any VMs. */
  constructor(follower: Follower = nobody, capacityInMB: (nodeName: string) => number | undefined = () => undefined) {
    this.#follower = follower;
    this.#capacityInMB = capacityInMB;
  }

  get(key: string): VirtualMachine | undefined {
    return this.#byKey.get(key);
  }

  /** Whether exactly this version is known. */
  has({ metadata }: VirtualMachine): boolean {
    const known = this.#byKey.get(objectKey(metadata))?.metadata;
    return known?.uid === metadata.uid && known.resourceVersion === metadata.resourceVersion;
  }

  keyOfUid(uid: string): string | undefined {
    return this.#keyOfUid.get(uid);
  }

  byUid(uid: string): VirtualMachine | undefined {
    const key = this.#keyOfUid.get(uid);
    return key === undefined ? undefined : this.#byKey.get(key);
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  all(): Iterable<VirtualMachine> {
    return this.#byKey.values();
  }

  keysOn(nodeName: string): ReadonlySet<string> {
    return this.#keysOfNode.get(nodeName) ?? new Set();
  }

  /** VMs that have the label of the set, or are controlled by a set of this name. */
  membersOf(setKey: string): ReadonlySet<string> {
    return this.#members.of(setKey);
  }

  promisedTo(nodeName: string): Promised {
    return this.#promised.get(nodeName) ?? nothingPromised;
  }

  /** Whether the VM now holds less of its host than before. */
  gaveUpRoom(before: VirtualMachine, after: VirtualMachine): boolean {
    if (!holdsRoom(before)) return false;
    const [held, holds] = [this.#promisedBy(before), this.#promisedBy(after)];
    const hasLeft = after.status.nodeName !== before.status.nodeName;
    return hasLeft || holds.memoryInMB < held.memoryInMB || holds.virtualMachines < held.virtualMachines;
  }

  /** The host may offer more or less than before. Which sizes it could ever provide may differ then. */
  reviewHost(nodeName: string): void {
    const capacityInMB = this.#capacityInMB(nodeName);
    for (const key of [...this.keysOn(nodeName)]) {
      const object = this.#byKey.get(key);
      if (object === undefined || this.#entries.get(key)?.capacityInMB === capacityInMB) continue;
      this.#leave(key);
      this.#enter(key, object);
    }
  }

  /** This operator saw the object being created, and has not seen it on a host since. */
  isNew(uid: string): boolean {
    return this.#appeared.has(uid);
  }

  observe(change: Change<VirtualMachine>): void {
    this.#noteAppearance(change);
    if (change.type === 'Applied') {
      this.#gone.delete(change.object.metadata.uid); // a restore brings it back
      this.#take(change.object, change.outranks);
      return;
    }
    const { uid } = change.object.metadata;
    this.#bury(uid);
    if (this.#byKey.get(change.key)?.metadata.uid === uid) this.#forget(change.key);
  }

  /** Takes the answer to a read or write of ours. */
  remember(answer: VirtualMachine): void {
    const object = compact(answer);
    this.#follower.expect(object);
    this.#take(object, undefined);
  }

  /**
   * Takes the answer to a live read that was sent when `before` was already known. An older version shows that the
   * cluster went back in time.
   */
  rememberLive(answer: VirtualMachine, before: VirtualMachine): void {
    if (!isNewer(before, answer)) {
      this.remember(answer);
      return;
    }
    this.#take(compact(answer), 'All');
    this.#follower.distrust();
  }

  /** An older version than the known one is ignored, unless `outranks` says that the known one is void. */
  #take(object: VirtualMachine, outranks: Outranked | undefined): void {
    if (object.status.nodeName !== undefined) this.#appeared.delete(object.metadata.uid);
    const key = objectKey(object.metadata);
    const known = this.#byKey.get(key);
    if (this.#gone.has(object.metadata.uid)) return;
    if (known !== undefined && isNewer(known, object) && !isOutranked(known, outranks)) return;
    if (known !== undefined) this.#forget(key);
    this.#byKey.set(key, object);
    this.#keyOfUid.set(object.metadata.uid, key);
    this.#members.add(key, object.metadata);
    this.#enter(key, object);
  }

  #noteAppearance(change: Change<VirtualMachine>): void {
    const { metadata, status } = change.object;
    if (change.type === 'Deleted' || change.outranks !== undefined || status.nodeName !== undefined) {
      this.#appeared.delete(metadata.uid); // a list shows the current state, not whether an object was gone meanwhile
    } else if (change.appeared === true) this.#appeared.add(metadata.uid);
  }

  #bury(uid: string): void {
    this.#gone.add(uid);
    for (const oldest of this.#gone) {
      if (this.#gone.size <= rememberedGone) return;
      this.#gone.delete(oldest);
    }
  }

  #forget(key: string): void {
    const known = this.#byKey.get(key);
    if (known === undefined) return;
    this.#byKey.delete(key);
    this.#keyOfUid.delete(known.metadata.uid);
    this.#members.remove(key, known.metadata);
    this.#leave(key);
  }

  #enter(key: string, object: VirtualMachine): void {
    const { nodeName } = object.status;
    if (nodeName === undefined || isTornDown(object)) return;
    const keys = this.#keysOfNode.get(nodeName) ?? new Set();
    this.#keysOfNode.set(nodeName, keys.add(key));
    const capacityInMB = this.#capacityInMB(nodeName);
    const promised = promisedBy(object, capacityInMB);
    this.#entries.set(key, { nodeName, capacityInMB, promised });
    this.#promise(nodeName, promised, 1);
  }

  #leave(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    const { nodeName, promised } = entry;
    this.#entries.delete(key);
    this.#promise(nodeName, promised, -1);
    const keys = this.#keysOfNode.get(nodeName);
    keys?.delete(key);
    if (keys?.size !== 0) return;
    this.#keysOfNode.delete(nodeName);
    this.#promised.delete(nodeName);
  }

  #promisedBy(object: VirtualMachine): Promised {
    const { nodeName } = object.status;
    return promisedBy(object, nodeName === undefined ? undefined : this.#capacityInMB(nodeName));
  }

  #promise(nodeName: string, { memoryInMB, virtualMachines }: Promised, sign: 1 | -1): void {
    const before = this.promisedTo(nodeName);
    this.#promised.set(nodeName, {
      memoryInMB: before.memoryInMB + sign * memoryInMB,
      virtualMachines: before.virtualMachines + sign * virtualMachines,
    });
  }
}

/**
 * The memory that a VM has or asks for, whichever is larger, as for a Pod that is resized. A size that the host could
 * never provide counts only while the VM may have it. A VM whose spec cannot be read still holds the size with which it
 * was created.
 */
function promisedBy(object: VirtualMachine, capacityInMB = Number.POSITIVE_INFINITY): Promised {
  if (!holdsRoom(object)) return nothingPromised;
  const { memorySizeInMB: reported = 0, phase = 'Pending' } = object.status;
  const wanted = object.spec.ok ? object.spec.value.memory.sizeInMB : 0;
  const possible = (size: number) => (size > capacityInMB ? 0 : size);
  const had = isStopped({ phase }) ? possible(reported) : reported;
  return { memoryInMB: Math.max(possible(wanted), had), virtualMachines: 1 };
}

function isNewer(known: VirtualMachine, other: VirtualMachine): boolean {
  return isOlder(other.metadata.resourceVersion, known.metadata.resourceVersion);
}

function isOutranked({ metadata }: VirtualMachine, outranks: Outranked | undefined): boolean {
  return outranks === 'All' || (outranks !== undefined && !isOlder(outranks.until, metadata.resourceVersion));
}
