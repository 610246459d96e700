// Writes the status of sets: nothing if nothing changed, and at most once a second. An Event says when the cause of a
// set's readiness changed.
import type { LinuxUtilityVMSetStatus } from '../../../crds/linux-utility-vm-set.ts';
import { type ReasonCode, reasons } from '../../../protocol/reasons.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import { isConflict, isNotFound } from '../../kubernetes/api-error.ts';
import type { EventRecord } from '../../kubernetes/events.ts';
import type { MachineSet } from '../../kubernetes/objects.ts';
import type { ResourceClient } from '../../kubernetes/resource-client.ts';
import { done, type Result } from '../../queue/result.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import type { SetMemory } from './set-memory.ts';

const spacingMilliseconds = 1_000;
/** Worth an Event whenever it becomes the reason of `Ready`, besides everything that stalls. */
const remarkable: ReadonlySet<ReasonCode> = new Set(['Complete', 'CreateRefused']);

export interface SetObserver {
  setWritten(before: MachineSet, after: MachineSet): void;
}

export interface SetStatusWriterOptions {
  readonly client: ResourceClient<MachineSet>;
  readonly clock: Clock;
  readonly record: (event: EventRecord) => void;
  readonly observer: SetObserver;
}

export class SetStatusWriter {
  readonly #options: SetStatusWriterOptions;

  constructor(options: SetStatusWriterOptions) {
    this.#options = options;
  }

  async write(set: MachineSet, memory: SetMemory, next: LinuxUtilityVMSetStatus): Promise<Result> {
    const { client, clock, observer } = this.#options;
    if (sameJson(set.status, next)) return done;
    const wait = memory.statusWrittenAt + spacingMilliseconds - clock.now();
    if (wait > 0) return { kind: 'After', milliseconds: wait };
    const outcome = await client.replaceStatus(set, next);
    if (outcome.ok) {
      memory.statusWrittenAt = clock.now();
      memory.wrote(outcome.value);
      observer.setWritten(set, outcome.value);
      this.#report(set, next);
      return done;
    }
    if (isNotFound(outcome.error)) return done;
    if (!isConflict(outcome.error)) return { kind: 'Retry', error: outcome.error };
    const live = await client.get(set.metadata);
    if (!live.ok) return isNotFound(live.error) ? done : { kind: 'Retry', error: live.error };
    memory.wrote(live.value);
    return { kind: 'After', milliseconds: 0 };
  }

  #report(set: MachineSet, next: LinuxUtilityVMSetStatus): void {
    const [was, is] = [set.status, next].map(({ conditions }) => conditionOf(conditions, 'Ready'));
    if (is === undefined || was?.reason === is.reason || !isReason(is.reason)) return;
    const stalls = reasons[is.reason].action === 'stall';
    if (!stalls && !remarkable.has(is.reason)) return;
    this.#options.record({
      regarding: { kind: 'LinuxUtilityVMSet', metadata: set.metadata },
      type: is.status === 'True' ? 'Normal' : 'Warning',
      reason: is.reason,
      action: 'Reconcile',
      note: is.message,
    });
  }
}

function isReason(reason: string): reason is ReasonCode {
  return reason in reasons;
}
