// One of several replicas leads: whoever holds the Lease (coordination.k8s.io), as client-go's leader election has it.
// Times are measured on a clock that only goes forward, so that a stepped wall clock neither makes nor ends a leader.
//
//   Standby ──Lease free or expired──► Leading ──not renewed for 7 s──► Suspended ──renewed──► Leading
//      ▲                                  └──another holder──┐             │
//      └─────────────────────────────────────────────────────┴─────────────┘ another holder, or suspended for 45 s
//
// A suspended leader may not write, but keeps its agents: an API server that is away takes the Lease from nobody
// (docs/decisions/0004-a-leader-that-cannot-renew.md).
import { type Clock, delay, type Random } from '../../protocol/clock.ts';
import { type ApiError, isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import type { LeaseRecord, LeaseStore } from './lease-client.ts';

/** A time of leadership. It is over for good once another replica leads. */
export interface Term {
  /** False as soon as another replica might lead: nothing may be written then. */
  readonly mayWrite: boolean;
}

export interface CandidateListener {
  /** This replica leads from now on. */
  began(term: Term): void;
  /** The term could be renewed after all: what was refused meanwhile can be written. */
  resumed(): void;
  ended(): void;
  failed(error: ApiError): void;
}

/** How a replica comes to lead. */
export interface Election {
  /** Takes part until `stop`. */
  start(listener: CandidateListener): void;
  /** Gives leadership up, so that the next leader need not wait. What the term had to write must be written. */
  stop(): Promise<void>;
}

/** Milliseconds. */
export interface LeaseTimes {
  /** How long others leave a leader alone of which they hear nothing. */
  readonly duration: number;
  /** A leader that could not renew for this long writes no more: well before others may take over. */
  readonly renewDeadline: number;
  readonly retry: number;
  /** How often a standby looks: it counts the duration from when it saw a renewal, which is that much later than it was. */
  readonly look: number;
  /** One request. */
  readonly request: number;
  /** A leader that could not renew for this long gives its agents up: they may reach one that can. */
  readonly surrender: number;
}

export const defaultLeaseTimes: LeaseTimes = {
  duration: 10_000,
  renewDeadline: 7_000,
  retry: 2_000,
  look: 500,
  request: 4_000,
  surrender: 45_000,
};

export interface LeaseElectionOptions {
  readonly client: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds on a clock that is never set. */
  readonly monotonic: () => number;
  /** Names this process among all that ever took part. */
  readonly identity: string;
  readonly times?: LeaseTimes;
}

class LeaseTerm implements Term {
  readonly #monotonic: () => number;
  readonly #renewDeadline: number;
  /** When the last renewal that succeeded was sent. */
  #renewedAt: number;
  over = false;

  constructor(monotonic: () => number, renewDeadline: number, renewedAt: number) {
    this.#monotonic = monotonic;
    this.#renewDeadline = renewDeadline;
    this.#renewedAt = renewedAt;
  }

  get mayWrite(): boolean {
    return !this.over && this.unrenewedFor < this.#renewDeadline;
  }

  get unrenewedFor(): number {
    return this.#monotonic() - this.#renewedAt;
  }

  renewed(at: number): void {
    this.#renewedAt = at;
  }
}

export class LeaseElection implements Election {
  readonly #options: LeaseElectionOptions;
  readonly #times: LeaseTimes;
  readonly #stop = new AbortController();
  #listener: CandidateListener | undefined;
  #run: Promise<void> | undefined;
  #term: LeaseTerm | undefined;
  /** The Lease as last seen, and since when it has looked like that. */
  #seen: { readonly record: LeaseRecord; readonly at: number } | undefined;

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#times = options.times ?? defaultLeaseTimes;
  }

  start(listener: CandidateListener): void {
    this.#listener = listener;
    this.#run ??= this.#campaign();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
    const term = this.#term;
    if (term?.mayWrite !== true || this.#seen === undefined) return;
    term.over = true;
    await this.#options.client.replace(this.#seen.record, { holder: undefined, now: this.#options.clock.now() });
  }

  async #campaign(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const error = this.#term === undefined ? await this.#stand() : await this.#renew(this.#term);
      if (error !== undefined && !signal.aborted) this.#listener?.failed(error);
      if (this.#term !== undefined && this.#term.unrenewedFor > this.#times.surrender) this.#end();
      await delay(this.#options.clock, this.#pause(), signal).catch(() => {});
    }
  }

  /** A standby looks again when the Lease runs out, if that is sooner than usual. */
  #pause(): number {
    const { random } = this.#options;
    const jitter = 0.9 + 0.2 * random();
    if (this.#term !== undefined || this.#seen === undefined) return this.#times.retry * jitter;
    return Math.min(this.#times.look * jitter, Math.max(50 + 100 * random(), this.#untilExpired(this.#seen)));
  }

  // --- standby --------------------------------------------------------------------------------------------------------

  async #stand(): Promise<ApiError | undefined> {
    const read = await this.#options.client.get(this.#times.request);
    if (!read.ok) return isNotFound(read.error) ? this.#create() : read.error;
    this.#see(read.value);
    const { holder } = read.value;
    const free = holder === undefined || holder === this.#options.identity;
    if (!free && this.#seen !== undefined && this.#untilExpired(this.#seen) > 0) return undefined;
    return this.#take(read.value);
  }

  async #create(): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const created = await this.#options.client.create(this.#claim());
    if (!created.ok) return isAlreadyExists(created.error) ? undefined : created.error;
    this.#see(created.value);
    this.#begin(sentAt);
    return undefined;
  }

  async #take(record: LeaseRecord): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const taken = await this.#options.client.replace(record, this.#claim());
    if (!taken.ok) return isConflict(taken.error) ? undefined : taken.error; // somebody was faster
    this.#see(taken.value);
    this.#begin(sentAt);
    return undefined;
  }

  #begin(sentAt: number): void {
    this.#term = new LeaseTerm(this.#options.monotonic, this.#times.renewDeadline, sentAt);
    if (!this.#stop.signal.aborted) this.#listener?.began(this.#term);
  }

  // --- leader ---------------------------------------------------------------------------------------------------------

  async #renew(term: LeaseTerm): Promise<ApiError | undefined> {
    const { client, identity } = this.#options;
    if (this.#seen === undefined) return undefined;
    const couldWrite = term.mayWrite;
    const first = await this.#send(term, this.#seen.record);
    if (first === undefined) return this.#renewed(couldWrite);
    if (!isConflict(first) && !isNotFound(first)) return first;
    const read = await client.get(this.#times.request);
    if (!read.ok && !isNotFound(read.error)) return read.error;
    if (!read.ok || read.value.holder !== identity) {
      this.#end();
      return undefined;
    }
    // Ours still, and only touched by somebody.
    const second = await this.#send(term, read.value);
    return second === undefined ? this.#renewed(couldWrite) : second;
  }

  async #send(term: LeaseTerm, record: LeaseRecord): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const written = await this.#options.client.replace(record, this.#claim());
    if (!written.ok) return written.error;
    this.#see(written.value);
    term.renewed(sentAt);
    return undefined;
  }

  #renewed(couldWrite: boolean): undefined {
    if (!couldWrite) this.#listener?.resumed();
  }

  #end(): void {
    const term = this.#term;
    if (term === undefined) return;
    term.over = true;
    this.#term = undefined;
    this.#listener?.ended();
  }

  // --- the record -----------------------------------------------------------------------------------------------------

  #claim() {
    return {
      holder: this.#options.identity,
      now: this.#options.clock.now(),
      durationMilliseconds: this.#times.duration,
      timeoutMilliseconds: this.#times.request,
    };
  }

  #see(record: LeaseRecord): void {
    const { resourceVersion } = record.metadata;
    if (this.#seen?.record.metadata.resourceVersion === resourceVersion) return;
    this.#seen = { record, at: this.#options.monotonic() };
  }

  #untilExpired({ record, at }: { readonly record: LeaseRecord; readonly at: number }): number {
    return at + record.durationMilliseconds - this.#options.monotonic();
  }
}
