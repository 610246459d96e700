// One of several replicas leads: the one that holds the Lease (coordination.k8s.io), as in client-go's leader election.
// Times are measured on a clock that only moves forward, so that a stepped wall clock neither starts nor ends a term.
//
//   Standby ──Lease free or expired──► Leading ──not renewed for 7 s──► Suspended ──renewed──► Leading
//      ▲                                  └──another holder──┐             │
//      └─────────────────────────────────────────────────────┴─────────────┘ another holder, or suspended for 45 s
//
// A standby that finds no Lease where there was one makes a new one, and renews it for 10 s before it leads: a leader
// whose Lease was deleted may write until it notices, and a standby cannot know how recently that leader renewed. Only
// who renewed the Lease itself within the last 10 s leads again at once.
//
// A suspended leader may not write, but keeps its agents: an API server that is away gives the Lease to nobody else
// (docs/decisions/0004-a-leader-that-cannot-renew.md).
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { type ApiError, isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import { isGivenUp, type LeaseRecord, type LeaseStore } from './lease-client.ts';

/** A term of leadership. It ends for good once another replica leads. */
export interface Term {
  /** False as soon as another replica might lead. Nothing may be written then. */
  readonly mayWrite: boolean;
  /**
   * A time by which every earlier term was over, and since which no other has begun. Milliseconds since the epoch, by
   * the clock of the API server. Undefined when the Lease does not tell.
   */
  readonly othersEndedBy?: number | undefined;
}

export interface CandidateListener {
  /** This replica leads from now on. */
  began(term: Term): void;
  /** The term was renewed after all: writes that were refused can be repeated. */
  resumed(): void;
  ended(): void;
  failed(error: ApiError): void;
}

/** Decides when a replica leads. */
export interface Election {
  /** Is a candidate until `stop`. */
  start(listener: CandidateListener): void;
  /** Gives up leadership, so that the next leader need not wait. All writes of the term must be finished. */
  stop(): Promise<void>;
}

/** Milliseconds. */
export interface LeaseTimes {
  /** How long other replicas wait for a leader that does not renew. */
  readonly duration: number;
  /** A leader that could not renew for this long stops writing, well before others may take over. */
  readonly renewDeadline: number;
  readonly retry: number;
  /**
   * How often a standby reads the Lease. It counts the duration from the time at which it saw a renewal, which is up to
   * this much after the renewal.
   */
  readonly look: number;
  /** Time limit for one request. */
  readonly request: number;
  /**
   * A leader that could not renew for this long closes its agents' sessions: the agents may reach a replica that can.
   */
  readonly surrender: number;
  /** The largest difference between the clocks of API servers and operators. */
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
  /** Identifies this process among all candidates that ever ran. */
  readonly identity: string;
  readonly times?: LeaseTimes;
  /** Whether there are traces of an earlier leader: then a missing Lease was deleted during its term. */
  readonly hasPredecessors?: () => boolean;
}

class LeaseTerm implements Term {
  readonly othersEndedBy: number | undefined;
  readonly #monotonic: () => number;
  readonly #renewDeadline: number;
  /** When the last successful renewal was sent. */
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
  /** The Lease as last seen, if it existed. */
  #seen: LeaseRecord | undefined;
  /**
   * The time until which another replica may lead, judging by the last Lease seen, even if the Lease was changed since:
   * removing its holder does not stop the leader, which notices only at its next renewal. Undefined: nothing is known of
   * others.
   */
  #heldUntil: number | undefined;
  #hasSeenLease = false;
  /** When this replica made the Lease that it may not use yet. */
  #claimedAt: number | undefined;
  /** Until this time after our own last renewal, no other replica can have begun to lead. */
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
   * A standby reads again when the Lease expires, if that is sooner than usual. A leader whose request failed has
   * little time left: a request up to its time limit plus the usual pause would take most of it.
   */
  #pause(failed: boolean): number {
    const { random } = this.#options;
    const jitter = 0.9 + 0.2 * random();
    if (this.#term !== undefined && failed) return this.#times.look * jitter;
    if (this.#claimedAt !== undefined) {
      const left = this.#claimedAt + this.#times.duration - this.#options.monotonic();
      return Math.max(Math.min(this.#times.retry * jitter, left), this.#times.look * jitter);
    }
    if (this.#term !== undefined || this.#heldUntil === undefined) return this.#times.retry * jitter;
    return Math.min(this.#times.look * jitter, Math.max(50 + 100 * random(), this.#heldFor));
  }

  // --- standby --------------------------------------------------------------------------------------------------------

  async #stand(): Promise<ApiError | undefined> {
    if (this.#claimedAt !== undefined) return await this.#confirm(this.#claimedAt);
    const read = await this.#options.client.get(this.#times.request);
    if (!read.ok && !isNotFound(read.error)) return read.error;
    if (!read.ok) {
      this.#seen = undefined;
      return await this.#create();
    }
    this.#see(read.value);
    return this.#heldFor > 0 ? undefined : await this.#take(read.value);
  }

  async #create(): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const mayBeLed = sentAt >= this.#oursUntil && (this.#hasSeenLease || this.#options.hasPredecessors?.() === true);
    const created = await this.#options.client.create(this.#claim());
    if (!created.ok) return isAlreadyExists(created.error) ? undefined : created.error;
    this.#claimedAt = mayBeLed ? sentAt : undefined;
    this.#see(created.value);
    if (!mayBeLed) this.#begin(sentAt, undefined);
    return undefined;
  }

  /**
   * Renews a Lease that this replica has made. A renewal succeeds only if nobody has written or replaced the Lease in
   * between, so the first one after the duration proves that no other term has begun, and that earlier ones are over.
   */
  async #confirm(claimedAt: number): Promise<ApiError | undefined> {
    if (this.#seen === undefined) return undefined;
    const sentAt = this.#options.monotonic();
    const renewed = await this.#options.client.replace(this.#seen, this.#claim());
    if (renewed.ok) {
      this.#see(renewed.value);
      if (sentAt - claimedAt < this.#times.duration) return undefined;
      this.#claimedAt = undefined;
      this.#begin(sentAt, undefined);
      return undefined;
    }
    if (!isConflict(renewed.error) && !isNotFound(renewed.error)) return renewed.error;
    this.#claimedAt = undefined;
    return undefined;
  }

  async #take(record: LeaseRecord): Promise<ApiError | undefined> {
    const sentAt = this.#options.monotonic();
    const taken = await this.#options.client.replace(record, this.#claim());
    if (!taken.ok) return isConflict(taken.error) ? undefined : taken.error; // another replica was faster
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
    // The Lease is still ours; somebody only modified it.
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
    this.#hasSeenLease = true;
    const isOurs = record.holder === this.#options.identity;
    if (isOurs && (this.#term !== undefined || this.#claimedAt !== undefined)) return;
    if (isGivenUp(record)) this.#heldUntil = this.#options.monotonic();
    else if (record.holder === undefined || isOurs) this.#doubt();
    else this.#hold(record.durationMilliseconds);
  }

  /** The Lease no longer tells who leads. */
  #doubt(): void {
    if (this.#options.monotonic() >= this.#oursUntil) this.#hold(0);
  }

  #renewedAt(sentAt: number): void {
    this.#heldUntil = sentAt;
    this.#oursUntil = sentAt + this.#times.duration;
  }

  /** A leader uses its own times, even if somebody has written shorter ones into the Lease. */
  #hold(milliseconds: number): void {
    this.#heldUntil = this.#options.monotonic() + Math.max(milliseconds, this.#times.duration);
  }

  get #heldFor(): number {
    return (this.#heldUntil ?? 0) - this.#options.monotonic();
  }
}
