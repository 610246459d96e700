// Writes the status of LinuxUtilityVMs by the rules of design §4: nothing when nothing changed, transient states only
// once they last, and always against the version from which the status was computed. Events follow each write.
//
// Whatever an agent reports, the status of one VM is written at most five times at once and then once a second. Nothing
// is lost: the last state is written as soon as that is allowed. Decisions of the operator are exempt: placement,
// release, and that a deletion waits.
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
  /** Somebody else wrote first; the status is computed again. */
  conflict(key: string): void;
}

export interface StatusWriterOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly pacing: Pacing;
  /** Allowances for writes of one VM's status, by uid: `statusRate`. */
  readonly allowances: KeyedAllowances;
  /** Bounds the writes that one node's agent causes. */
  readonly writes: NodeWrites;
  readonly record: (event: EventRecord) => void;
  /** False while another replica has the host's session. */
  readonly mayWriteFor: (nodeName: string) => boolean;
  readonly observer: StatusObserver;
}

export interface Written {
  /** The object after this call, if its status is the wanted one. */
  readonly object: VirtualMachine | undefined;
  readonly result: Result;
}

export const statusRate = { perSecond: 1, burst: 5 } as const;
const allowanceMilliseconds = 1_000 / statusRate.perSecond;

const fenced: Written = { object: undefined, result: { kind: 'After', milliseconds: 15_000 } };

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  /** Keys of objects whose current pass has low priority: explanations are written in such a pass. */
  readonly #low = new Set<string>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Runs a pass over an object. Only one pass of an object runs at a time. */
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

  /** The reason to postpone a write: the state may pass, others go first, or the VM was written too often. */
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

  /** Counts the whole object, because the API server stores all of it again. */
  #count(before: VirtualMachine, status: LinuxUtilityVMStatus): void {
    const nodeName = nodeOf(before, status);
    if (nodeName === undefined || isDecision(before.status, status)) return;
    this.#options.writes.wrote(nodeName, [before.spec, status]);
  }

  /** A write replaces the whole status, so log text that is neither cached nor reported is read back first. */
  async #withStoredLog(object: VirtualMachine, next: LinuxUtilityVMStatus): Promise<Outcome<LinuxUtilityVMStatus>> {
    if (object.omitted === undefined || next.guestLog !== undefined) return succeeded(next);
    const live = await this.#options.client.get(object.metadata);
    if (!live.ok) return live;
    const { uid, resourceVersion } = live.value.metadata;
    const { guestLog } = live.value.status;
    // If the version or the object differs, the API server refuses the write anyway.
    const same = uid === object.metadata.uid && resourceVersion === object.metadata.resourceVersion;
    return succeeded(same && guestLog !== undefined ? { ...next, guestLog } : next);
  }

  /** After a refused write: reads the object again, so that the next status is computed from the current one. */
  async refused(object: VirtualMachine, error: ApiError): Promise<Result> {
    const { client, machines, observer } = this.#options;
    if (isNotFound(error)) return done; // the watch reports the deletion
    if (!isConflict(error)) return { kind: 'Retry', error };
    observer.conflict(objectKey(object.metadata));
    const live = await client.get(object.metadata);
    if (!live.ok) return isNotFound(live.error) ? done : { kind: 'Retry', error: live.error };
    machines.rememberLive(live.value, object);
    const isNews = live.value.metadata.resourceVersion !== object.metadata.resourceVersion;
    return isNews ? { kind: 'After', milliseconds: 0 } : { kind: 'Retry', error };
  }
}

/** The node whose agent reports on the VM. */
function nodeOf({ status }: VirtualMachine, next: LinuxUtilityVMStatus): string | undefined {
  return status.nodeName ?? next.nodeName;
}

/** A placement, a release, or a deletion that waits. No agent can cause these again and again. */
function isDecision(stored: LinuxUtilityVMStatus, next: LinuxUtilityVMStatus): boolean {
  const isHeldUp = ({ conditions }: LinuxUtilityVMStatus) => conditionOf(conditions, 'Terminating') !== undefined;
  return stored.nodeName !== next.nodeName || isHeldUp(stored) !== isHeldUp(next);
}
