// Whether the cluster may have gone back in time, as after a restore of etcd: then what is stored proves nothing about what
// runs, and VMs without a host wait until every host has listed its VMs (design §10). An annotation on the Lease says so, set
// by whoever restores (docs/operations.md) or by a leader that found out; it survives the leader, and is taken off once all
// hosts have listed their VMs. Whoever takes it off before ends the waiting.
import type { Clock } from '../../../runtime/clock.ts';

export const restoredAnnotation = 'lcow.dev/restored';

export interface Restored {
  /** Milliseconds since the epoch, if known: what was created later was not restored. */
  readonly at: number | undefined;
  readonly why: string;
}

export class Restoration {
  readonly #clock: Clock;
  #pending: Restored | undefined;
  /** The value on the Lease, as far as is known. */
  #published: string | undefined;
  /** The value that is to be taken off the Lease. */
  #settled: string | undefined;
  /** What this process published without being asked. */
  #own: string | undefined;
  #dismissed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Set as long as a host may have a VM of which the store knows nothing. */
  get pending(): Restored | undefined {
    return this.#pending;
  }

  /** What speaks for it, other than the annotation. Nothing does any more once somebody took that annotation off. */
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

  /** As the Lease was read or written last. */
  seen(annotations: Readonly<Record<string, string>> = {}): void {
    const value = annotations[restoredAnnotation];
    if (value === undefined) this.#absent();
    else if (value !== this.#settled) this.#present(value);
  }

  /** For the next write of the Lease; undefined takes one off. */
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
