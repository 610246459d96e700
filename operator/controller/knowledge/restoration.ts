// Whether the cluster may have gone back in time, as after a restore of etcd. Then the store proves nothing about what
// runs, and VMs without a host wait until every host has listed its VMs (design §10). An annotation on the Lease
// records this. The administrator who restores sets it (docs/operations.md), or a leader that notices the restore. The
// annotation survives the leader and is removed once all hosts have listed their VMs. Removing it earlier by hand ends
// the wait.
import type { Clock } from '../../../runtime/clock.ts';

export const restoredAnnotation = 'lcow.dev/restored';

export interface Restored {
  /** Milliseconds since the epoch, if known. Objects created later were not restored. */
  readonly at: number | undefined;
  readonly why: string;
}

export class Restoration {
  readonly #clock: Clock;
  #pending: Restored | undefined;
  /** The last known value on the Lease. */
  #published: string | undefined;
  /** The value to be removed from the Lease. */
  #settled: string | undefined;
  /** The value that this process published because of a suspicion. */
  #own: string | undefined;
  #dismissed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Set while a host may have a VM that the store does not know about. */
  get pending(): Restored | undefined {
    return this.#pending;
  }

  /** Reports evidence of a restore other than the annotation. Ignored once somebody removed the annotation. */
  suspect(why: string): void {
    if (this.#dismissed) return;
    this.#pending ??= { at: this.#clock.now(), why };
  }

  /** Every host has listed its VMs. */
  settle(): void {
    if (this.#pending === undefined) return;
    this.#pending = undefined;
    this.#settled = this.#published;
    this.#published = undefined;
  }

  /** Takes the annotations of the Lease as last read or written. */
  seen(annotations: Readonly<Record<string, string>> = {}): void {
    const value = annotations[restoredAnnotation];
    if (value === undefined) this.#absent();
    else if (value !== this.#settled) this.#present(value);
  }

  /** Annotations for the next write of the Lease. An undefined value removes one. */
  annotations(): Readonly<Record<string, string | undefined>> {
    if (this.#settled !== undefined) return { [restoredAnnotation]: undefined };
    if (this.#pending === undefined || this.#published !== undefined) return {};
    this.#own = new Date(this.#pending.at ?? this.#clock.now()).toISOString();
    return { [restoredAnnotation]: this.#own };
  }

  #absent(): void {
    this.#settled = undefined;
    if (this.#published === undefined) return;
    this.#dismissed = this.#published === this.#own;
    this.#published = undefined;
    this.#pending = undefined;
  }

  #present(value: string): void {
    this.#settled = undefined;
    this.#published = value;
    const at = Date.parse(value);
    const why = `the Lease has the annotation ${restoredAnnotation}`;
    this.#pending ??= { at: Number.isNaN(at) ? undefined : at, why };
  }
}
