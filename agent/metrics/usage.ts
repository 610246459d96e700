// The resource use of each VM, for metrics and for users who ask for one VM. HCS is asked on request, at most once in a
// while for each VM and for few VMs at once. Nobody waits long: an answer that comes too late counts for the next one.
import { type Clock, delay } from '../../runtime/clock.ts';
import { Gate } from '../bounds/gate.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import type { SystemStatistics } from '../node/backend.ts';

export interface MeasuredMachine {
  /** Undefined while the VM does not run. May never resolve. */
  statistics(): Promise<SystemStatistics | undefined>;
}

/** Most VMs about which HCS is asked at once. */
export const usageAtOnce = 8;
const { usageFresh, usagePatience, usageRecent } = fixedTimes.metrics;

interface Reading {
  readonly statistics: SystemStatistics | undefined;
  readonly at: number;
}

export interface TimedStatistics {
  readonly statistics: SystemStatistics;
  readonly at: number;
}

export class UsageReader {
  readonly #clock: Clock;
  readonly #gate = new Gate(usageAtOnce);
  readonly #readings = new Map<string, Reading>();
  readonly #pending = new Map<string, Promise<void>>();
  #failures = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Number of queries that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** By uid. VMs that do not run, or whose values are too old or failed, are left out. */
  async read(machines: ReadonlyMap<string, MeasuredMachine>): Promise<ReadonlyMap<string, SystemStatistics>> {
    for (const uid of this.#readings.keys()) if (!machines.has(uid)) this.#readings.delete(uid);
    const asked = [...machines].filter(([uid]) => !this.#isFresh(uid)).map(([uid, machine]) => this.#ask(uid, machine));
    await this.#patiently(Promise.all(asked));
    const told = [...machines.keys()].map((uid) => [uid, this.#current(uid)] as const);
    return new Map(told.flatMap(([uid, statistics]) => (statistics === undefined ? [] : [[uid, statistics] as const])));
  }

  /** A recent reading of one VM. Undefined: it does not run, or HCS gives no answer in time. */
  async readOne(uid: string, machine: MeasuredMachine): Promise<TimedStatistics | undefined> {
    if (this.#age(uid) >= usageRecent) await this.#patiently(this.#ask(uid, machine));
    const reading = this.#readings.get(uid);
    if (reading?.statistics === undefined || this.#age(uid) > usageRecent + usagePatience) return undefined;
    return { statistics: reading.statistics, at: reading.at };
  }

  async #patiently(asked: Promise<unknown>): Promise<void> {
    const isDone = new AbortController();
    const patience = delay(this.#clock, usagePatience, isDone.signal).catch(() => undefined);
    await Promise.race([asked, patience]);
    isDone.abort();
  }

  /** Starts a query unless one is under way for this VM. */
  #ask(uid: string, machine: MeasuredMachine): Promise<void> {
    const pending = this.#pending.get(uid);
    if (pending !== undefined) return pending;
    const asking = this.#gate
      .pass(async () => {
        const statistics = await machine.statistics();
        this.#readings.set(uid, { statistics, at: this.#clock.now() });
      })
      .catch(() => {
        // The VM may have ended meanwhile. The failure is counted anyway, so that a lasting one shows.
        this.#failures += 1;
        this.#readings.delete(uid);
      })
      .finally(() => this.#pending.delete(uid));
    this.#pending.set(uid, asking);
    return asking;
  }

  #isFresh(uid: string): boolean {
    return this.#age(uid) < usageFresh;
  }

  /** A reading that was not renewed in time still counts for one scrape. */
  #current(uid: string): SystemStatistics | undefined {
    return this.#age(uid) <= usageFresh + usagePatience ? this.#readings.get(uid)?.statistics : undefined;
  }

  #age(uid: string): number {
    const reading = this.#readings.get(uid);
    return reading === undefined ? Number.POSITIVE_INFINITY : this.#clock.now() - reading.at;
  }
}
