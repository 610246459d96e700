// One of several replicas leads: whoever holds the Lease (coordination.k8s.io), as client-go's leader election has it.
// Times are measured on a clock that only goes forward, so that a stepped wall clock neither makes nor ends a leader.
//
//   Standby ──Lease free or expired──► Leading ──not renewed for 7 s──► Suspended ──renewed──► Leading
//      ▲                                  └──another holder──┐             │
//      └─────────────────────────────────────────────────────┴─────────────┘ another holder, or suspended for 45 s
//
// A suspended leader may not write, but keeps its agents: an API server that is away takes the Lease from nobody
// (docs/decisions/0004-a-leader-that-cannot-renew.md).
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { type ApiError, isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import { isGivenUp, type LeaseRecord, type LeaseStore } from './lease-client.ts';

/** A time of leadership. It is over for good once another replica leads. */
export interface Term {
  /** False as soon as another replica might lead: nothing may be written then. */
  readonly mayWrite: boolean;
  /**
   * Milliseconds since the epoch, by the clock of the API server: by then every earlier term was over, and none has begun
   * since. Undefined when the Lease does not tell.
   */
  readonly othersEndedBy?: number | undefined;
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
  /** Clocks of API servers and of operators differ by less. */
  readonly skew: number;
}

export const defaultLeaseTimes: LeaseTimes = {
  duration: 10_000,
  renewDeadline: 7_000,
  retry: 2_000,
  look: 500,
  request: 4_000,
  surrender: 45_000,
  skew: 60_000,
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
  /** Whether there are traces of a leader before this process: then a Lease that is not there was deleted under one. */
  readonly hasPredecessors?: () => boolean;
}

class LeaseTerm implements Term {
  readonly othersEndedBy: number | undefined;
  readonly #monotonic: () => number;
  readonly #renewDeadline: number;
  /** When the last renewal that succeeded was sent. */
  #renewedAt: number;
  over = false;

  constructor(monotonic: () => number, renewDeadline: number, renewedAt: number, othersEndedBy: number | undefined) {
    this.#monotonic = monotonic;
    this.#renewDeadline = renewDeadline;
    this.#renewedAt = renewedAt;
    this.othersEndedBy = othersEndedBy;
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
  /** The Lease as last seen, if it was there. */
  #seen: LeaseRecord | undefined;
  /**
   * Until when another may lead by what was seen of it, whatever has become of the Lease since: somebody who deletes it,
   * or strikes its holder out, does not stop the leader, which learns of that by its next renewal only. Undefined: nothing
   * is known of others.
   */
  #heldUntil: number | undefined;
  /** So long after our own last renewal nobody else can have begun to lead. */
  #oursUntil = Number.NEGATIVE_INFINITY;

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
    await this.#options.client.replace(this.#seen, { holder: undefined, now: this.#options.clock.now() });
  }

  async #campaign(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const error = this.#term === undefined ? await this.#stand() : await this.#renew(this.#term);
      if (error !== undefined && !signal.aborted) this.#listener?.failed(error);
      if (this.#term !== undefined && this.#term.unrenewedFor > this.#times.surrender) this.#end();
      await delay(this.#options.clock, this.#pause(error !== undefined), signal).catch(() => {});
    }
  }

  /**
   * A standby looks again when the Lease runs out, if that is sooner than usual. A leader whose request failed has little
   * time left: one that took as long as it may, and the usual pause, are most of what it has.
   */
  #pause(failed: boolean): number {
    const { random } = this.#options;
    const jitter = 0.9 + 0.2 * random();
    if (this.#term !== undefined && failed) return this.#times.look * jitter;
    if (this.#term !== undefined || this.#heldUntil === undefined) return this.#times.retry * jitter;
    return Math.min(this.#times.look * jitter, Math.max(50 + 100 * random(), this.#heldFor));
  }

  // --- standby --------------------------------------------------------------------------------------------------------

  async #stand(): Promise<ApiError | undefined> {
    const read = await this.#options.client.get(this.#times.request);
    if (!read.ok && !isNotFound(read.error)) return read.error;
    if (read.ok) this.#see(read.value);
    else this.#miss();
    if (this.#heldFor > 0) return undefined;
    return read.ok ? this.#take(read.value) : this.#create();
  }

  async #create(): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const created = await this.#options.client.create(this.#claim());
    if (!created.ok) return isAlreadyExists(created.error) ? undefined : created.error;
    this.#see(created.value);
    this.#begin(sentAt, undefined);
    return undefined;
  }

  async #take(record: LeaseRecord): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const taken = await this.#options.client.replace(record, this.#claim());
    if (!taken.ok) return isConflict(taken.error) ? undefined : taken.error; // somebody was faster
    this.#see(taken.value);
    this.#begin(sentAt, this.#endOfTermsBefore(record));
    return undefined;
  }

  #begin(sentAt: number, othersEndedBy: number | undefined): void {
    this.#term = new LeaseTerm(this.#options.monotonic, this.#times.renewDeadline, sentAt, othersEndedBy);
    this.#renewedAt(sentAt);
    if (!this.#stop.signal.aborted) this.#listener?.began(this.#term);
  }

  /** Nobody has written the Lease since `record`, and nobody leads for longer than `duration` without writing it. */
  #endOfTermsBefore({ durationMilliseconds, writtenAt }: LeaseRecord): number | undefined {
    const { duration, skew } = this.#times;
    return writtenAt === undefined ? undefined : writtenAt + Math.max(durationMilliseconds, duration) + skew;
  }

  // --- leader ---------------------------------------------------------------------------------------------------------

  async #renew(term: LeaseTerm): Promise<ApiError | undefined> {
    const { client, identity } = this.#options;
    if (this.#seen === undefined) return undefined;
    const couldWrite = term.mayWrite;
    const first = await this.#send(term, this.#seen);
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
    this.#renewedAt(sentAt);
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
    if (this.#seen?.metadata.resourceVersion === record.metadata.resourceVersion) return;
    this.#seen = record;
    if (record.holder === this.#options.identity) return;
    if (isGivenUp(record)) this.#heldUntil = this.#options.monotonic();
    else if (record.holder === undefined) this.#doubt();
    else this.#hold(record.durationMilliseconds);
  }

  #miss(): void {
    const isNews = this.#seen !== undefined || this.#heldUntil === undefined;
    const wasThere = this.#seen !== undefined || this.#options.hasPredecessors?.() === true;
    this.#seen = undefined;
    if (isNews && wasThere) this.#doubt();
  }

  /** The Lease does not tell any more who leads. */
  #doubt(): void {
    if (this.#options.monotonic() >= this.#oursUntil) this.#hold(0);
  }

  #renewedAt(sentAt: number): void {
    this.#heldUntil = sentAt;
    this.#oursUntil = sentAt + this.#times.duration;
  }

  /** A leader goes by its own times, also where somebody has written shorter ones into the Lease. */
  #hold(milliseconds: number): void {
    this.#heldUntil = this.#options.monotonic() + Math.max(milliseconds, this.#times.duration);
  }

  get #heldFor(): number {
    return (this.#heldUntil ?? 0) - this.#options.monotonic();
  }
}
