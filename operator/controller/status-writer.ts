// Writes the status of LinuxUtilityVMs by the rules of design §4: nothing when nothing changed, transient states only once
// they lasted, and always against the version that the status was computed from. Events follow what was written.
import type { LinuxUtilityVMStatus } from '../../crds/linux-utility-vm.ts';
import { type ApiError, isConflict, isNotFound, type Outcome, succeeded } from '../kubernetes/api-error.ts';
import type { EventRecord } from '../kubernetes/events.ts';
import { objectKey, type VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { Pacing } from './pacing.ts';
import { done, type Result } from './queue.ts';
import { writeNeed } from './status.ts';
import { transitions } from './transitions.ts';
import type { VirtualMachines } from './virtual-machines.ts';

export interface StatusObserver {
  statusWritten(before: VirtualMachine, after: VirtualMachine): void;
  /** Somebody else wrote first; it is computed anew. */
  conflict(key: string): void;
}

export interface StatusWriterOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly pacing: Pacing;
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

const fenced: Written = { object: undefined, result: { kind: 'After', milliseconds: 15_000 } };

export class StatusWriter {
  readonly #options: StatusWriterOptions;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  async write(object: VirtualMachine, next: LinuxUtilityVMStatus): Promise<Written> {
    const { pacing } = this.#options;
    const { uid } = object.metadata;
    const nodeName = object.status.nodeName ?? next.nodeName;
    if (nodeName !== undefined && !this.#options.mayWriteFor(nodeName)) return fenced;
    const need = writeNeed(object, next);
    if (need.kind === 'WhenLasting') {
      const milliseconds = pacing.remaining(uid, need.what, need.milliseconds);
      if (milliseconds > 0) return { object, result: { kind: 'After', milliseconds } };
    }
    pacing.forget(uid);
    return need.kind === 'None' ? { object, result: done } : this.#put(object, next);
  }

  async #put(object: VirtualMachine, next: LinuxUtilityVMStatus): Promise<Written> {
    const { client, machines, observer } = this.#options;
    const complete = await this.#withStoredLog(object, next);
    if (!complete.ok) return { object: undefined, result: await this.refused(object, complete.error) };
    const outcome = await client.replaceStatus(object, complete.value);
    if (!outcome.ok) return { object: undefined, result: await this.refused(object, outcome.error) };
    machines.remember(outcome.value);
    observer.statusWritten(object, outcome.value);
    for (const transition of transitions(object.status, outcome.value.status)) {
      this.#options.record({ ...transition, regarding: { kind: 'LinuxUtilityVM', metadata: object.metadata } });
    }
    return { object: outcome.value, result: done };
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
