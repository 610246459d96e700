// Writes the status of LinuxUtilityVMs by the rules of design §4: nothing when nothing changed, transient states only once
// they lasted, and always against the version that the status was computed from. Events follow what was written.
//
// Whatever an agent reports, the status of one VM is written five times at once and then once a second. Nothing is lost by
// that: the last state is written as soon as it may be. What the operator itself decides is exempt: placement, release,
// and that a deletion waits.
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { type ApiError, isConflict, isNotFound, type Outcome, succeeded } from '../../kubernetes/api-error.ts';
import type { EventRecord } from '../../kubernetes/events.ts';
import { objectKey, type VirtualMachine } from '../../kubernetes/objects.ts';
import type { ResourceClient } from '../../kubernetes/resource-client.ts';
import type { KeyedAllowances } from '../../queue/keyed-allowances.ts';
import { done, type Result } from '../../queue/result.ts';
import type { Lane } from '../../queue/work-queue.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import type { VirtualMachines } from '../knowledge/virtual-machines.ts';
import type { NodeWrites } from './node-writes.ts';
import type { Pacing } from './pacing.ts';
import { transitions } from './transitions.ts';
import { type WriteNeed, writeNeed } from './write-need.ts';

export interface StatusObserver {
  statusWritten(before: VirtualMachine, after: VirtualMachine): void;
  /** Somebody else wrote first; it is computed anew. */
  conflict(key: string): void;
}

export interface StatusWriterOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly pacing: Pacing;
  /** How often the status of a VM is written, by its uid: `statusRate`. */
  readonly allowances: KeyedAllowances;
  /** How much is written because of what the agent of one node reports. */
  readonly writes: NodeWrites;
  readonly record: (event: EventRecord) => void;
  /** False while another replica speaks for the host. */
  readonly mayWriteFor: (nodeName: string) => boolean;
  readonly observer: StatusObserver;
}

export interface Written {
  /** The object as it is after this, if it is what was wanted. */
  readonly object: VirtualMachine | undefined;
  readonly result: Result;
}

export const statusRate = { perSecond: 1, burst: 5 } as const;
const allowanceMilliseconds = 1_000 / statusRate.perSecond;

const fenced: Written = { object: undefined, result: { kind: 'After', milliseconds: 15_000 } };

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  /** Keys of objects whose pass has low priority: now is the time to explain. */
  readonly #low = new Set<string>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Runs a pass over one object; there is one at a time. */
  async inLane<T>(key: string, lane: Lane, pass: () => Promise<T>): Promise<T> {
    if (lane === 'Usual') return pass();
    this.#low.add(key);
    try {
      return await pass();
    } finally {
      this.#low.delete(key);
    }
  }

  async write(object: VirtualMachine, next: LinuxUtilityVMStatus): Promise<Written> {
    const nodeName = nodeOf(object, next);
    if (nodeName !== undefined && !this.#options.mayWriteFor(nodeName)) return fenced;
    const need = writeNeed(object, next);
    const wait = need.kind === 'None' ? undefined : this.#wait(object, next, need);
    if (wait !== undefined) return { object, result: wait };
    this.#options.pacing.forget(object.metadata.uid);
    return need.kind === 'None' ? { object, result: done } : this.#put(object, next);
  }

  /** Why it is not written now: it may pass by itself, it can wait for others, or it was written too often. */
  #wait(object: VirtualMachine, next: LinuxUtilityVMStatus, need: WriteNeed): Result | undefined {
    const { pacing, allowances } = this.#options;
    const { uid } = object.metadata;
    if (need.kind === 'WhenLasting') {
      const milliseconds = pacing.remaining(uid, need.what, need.milliseconds);
      if (milliseconds > 0) return { kind: 'After', milliseconds };
    }
    const canWait = need.kind === 'AtLowPriority' || (need.kind === 'WhenLasting' && need.lowPriority === true);
    if (canWait && !this.#low.has(objectKey(object.metadata))) return { kind: 'AtLowPriority' };
    if (isDecision(object.status, next)) return undefined;
    const nodeName = nodeOf(object, next);
    const patience = nodeName === undefined ? 0 : this.#options.writes.remaining(nodeName);
    if (patience > 0) return { kind: 'After', milliseconds: patience };
    return allowances.tryTake(uid) ? undefined : { kind: 'After', milliseconds: allowanceMilliseconds };
  }

  async #put(object: VirtualMachine, next: LinuxUtilityVMStatus): Promise<Written> {
    const { client, machines, observer } = this.#options;
    const complete = await this.#withStoredLog(object, next);
    if (!complete.ok) return { object: undefined, result: await this.refused(object, complete.error) };
    const outcome = await client.replaceStatus(object, complete.value);
    if (!outcome.ok) return { object: undefined, result: await this.refused(object, outcome.error) };
    this.#count(object, complete.value);
    machines.remember(outcome.value);
    observer.statusWritten(object, outcome.value);
    for (const transition of transitions(object.status, outcome.value.status)) {
      this.#options.record({ ...transition, regarding: { kind: 'LinuxUtilityVM', metadata: object.metadata } });
    }
    return { object: outcome.value, result: done };
  }

  /** The API server stores all of the object anew. */
  #count(before: VirtualMachine, status: LinuxUtilityVMStatus): void {
    const nodeName = nodeOf(before, status);
    if (nodeName === undefined || isDecision(before.status, status)) return;
    this.#options.writes.wrote(nodeName, [before.spec, status]);
  }

  /** A write replaces the whole status: log text that is not kept here, and that nobody reports, is read back for it. */
  async #withStoredLog(object: VirtualMachine, next: LinuxUtilityVMStatus): Promise<Outcome<LinuxUtilityVMStatus>> {
    if (object.omitted === undefined || next.guestLog !== undefined) return succeeded(next);
    const live = await this.#options.client.get(object.metadata);
    if (!live.ok) return live;
    const { uid, resourceVersion } = live.value.metadata;
    const { guestLog } = live.value.status;
    // Of another version, or another object, the write is refused as it stands.
    const same = uid === object.metadata.uid && resourceVersion === object.metadata.resourceVersion;
    return succeeded(same && guestLog !== undefined ? { ...next, guestLog } : next);
  }

  /** After a refused write: the object is read again, so that what comes next is computed from what is. */
  async refused(object: VirtualMachine, error: ApiError): Promise<Result> {
    const { client, machines, observer } = this.#options;
    if (isNotFound(error)) return done; // the watch tells
    if (!isConflict(error)) return { kind: 'Retry', error };
    observer.conflict(objectKey(object.metadata));
    const live = await client.get(object.metadata);
    if (!live.ok) return isNotFound(live.error) ? done : { kind: 'Retry', error: live.error };
    machines.rememberLive(live.value, object);
    const isNews = live.value.metadata.resourceVersion !== object.metadata.resourceVersion;
    return isNews ? { kind: 'After', milliseconds: 0 } : { kind: 'Retry', error };
  }
}

/** Whose agent reports of it. */
function nodeOf({ status }: VirtualMachine, next: LinuxUtilityVMStatus): string | undefined {
  return status.nodeName ?? next.nodeName;
}

/** Placed, released, or held up in its deletion: no agent can make that happen again and again. */
function isDecision(stored: LinuxUtilityVMStatus, next: LinuxUtilityVMStatus): boolean {
  const isHeldUp = ({ conditions }: LinuxUtilityVMStatus) => conditionOf(conditions, 'Terminating') !== undefined;
  return stored.nodeName !== next.nodeName || isHeldUp(stored) !== isHeldUp(next);
}
