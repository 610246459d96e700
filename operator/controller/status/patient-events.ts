// Warnings about states that often pass within seconds, such as agents of a new system that have not connected yet. A
// warning is recorded only once its state has lasted.

import type { ReasonCode } from '../../../protocol/reasons.ts';
import type { Clock, Timer } from '../../../runtime/clock.ts';
import type { EventRecord } from '../../kubernetes/events.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import type { VirtualMachines } from '../knowledge/virtual-machines.ts';

const patience: ReadonlySet<string> = new Set(['NoHostFits', 'HostNotReady'] satisfies ReasonCode[]);
const lastingMilliseconds = 10_000;
/** The most VMs with a delayed warning. Beyond that, warnings are recorded at once. */
const held = 10_000;

export interface PatientEventsOptions {
  readonly clock: Clock;
  readonly machines: Pick<VirtualMachines, 'byUid'>;
  readonly record: (event: EventRecord) => void;
}

export class PatientEvents {
  readonly #options: PatientEventsOptions;
  /** By uid of the VM. */
  readonly #timers = new Map<string, Timer>();

  constructor(options: PatientEventsOptions) {
    this.#options = options;
  }

  record(event: EventRecord): void {
    const { uid } = event.regarding.metadata;
    if (uid === undefined || !patience.has(event.reason) || this.#timers.size >= held) {
      this.#options.record(event);
      return;
    }
    this.#timers.get(uid)?.cancel();
    this.#timers.set(
      uid,
      this.#options.clock.after(lastingMilliseconds, () => this.#tell(uid, event)),
    );
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #tell(uid: string, event: EventRecord): void {
    this.#timers.delete(uid);
    const ready = conditionOf(this.#options.machines.byUid(uid)?.status.conditions, 'Ready');
    if (ready?.reason === event.reason) this.#options.record({ ...event, note: ready.message });
  }
}
