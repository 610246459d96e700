// Which replica leads, and when a leader stops writing, on a clock that the test moves.
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { connectionError, failed, type Outcome, succeeded } from '../../../operator/kubernetes/api-error.ts';
import { defaultLeaseTimes, LeaseElection, type Term } from '../../../operator/kubernetes/lease.ts';
import type { Claim, LeaseRecord, LeaseStore } from '../../../operator/kubernetes/lease-client.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

/** The Lease in the API server. */
class ScriptedLease implements LeaseStore {
  record: LeaseRecord | undefined;
  reachable = true;
  writes = 0;
  #version = 0;

  get(): Promise<Outcome<LeaseRecord>> {
    if (!this.reachable) return Promise.resolve(away);
    return Promise.resolve(this.record === undefined ? notFound : succeeded(this.record));
  }

  create(claim: Claim): Promise<Outcome<LeaseRecord>> {
    if (!this.reachable) return Promise.resolve(away);
    return Promise.resolve(this.record === undefined ? this.#store(claim, 0) : alreadyExists);
  }

  replace(record: LeaseRecord, claim: Claim): Promise<Outcome<LeaseRecord>> {
    if (!this.reachable) return Promise.resolve(away);
    if (this.record === undefined) return Promise.resolve(notFound);
    const same = this.record.metadata.resourceVersion === record.metadata.resourceVersion;
    return Promise.resolve(same ? this.#store(claim, this.record.transitions) : conflict);
  }

  touch(changes: Partial<Claim> = {}): void {
    if (this.record === undefined) return;
    this.#store({ holder: this.record.holder, now: 0, durationMilliseconds: 10_000, ...changes }, 0);
  }

  /** Deletes the Lease and creates it again from an old copy. */
  putBack(): void {
    const { holder, transitions = 0 } = this.record ?? {};
    this.record = undefined;
    this.#store({ holder, now: clock.now() - 3_600_000, durationMilliseconds: 10_000 }, transitions);
  }

  #store({ holder, durationMilliseconds = 1_000 }: Claim, transitions: number): Outcome<LeaseRecord> {
    this.#version += 1;
    this.writes += 1;
    const metadata = { name: 'lcow-operator', resourceVersion: String(this.#version) };
    const writtenAt = clock.now();
    this.record = { metadata, holder, durationMilliseconds, acquireTime: undefined, transitions, writtenAt };
    return succeeded(this.record);
  }
}

const away = failed<LeaseRecord>(connectionError('ConnectionFailed', 'away'));
const refused = (code: number, reason: string) =>
  failed<LeaseRecord>({ code, reason, message: reason, retryable: false, objectName: 'lcow-operator' });
const notFound = refused(404, 'NotFound');
const conflict = refused(409, 'Conflict');
const alreadyExists = refused(409, 'AlreadyExists');

class Candidate {
  readonly events: string[] = [];
  readonly election: LeaseElection;
  term: Term | undefined;

  /** Whether it finds traces of an earlier leader. */
  late = false;

  constructor(
    identity: string,
    client: LeaseStore,
    clock: ManualClock,
    { monotonic = () => clock.now(), skew = defaultLeaseTimes.skew } = {},
  ) {
    const hasPredecessors = () => this.late;
    const times = { ...defaultLeaseTimes, skew };
    const shared = { client, clock, random: () => 0.5, monotonic, identity, times };
    this.election = new LeaseElection({ ...shared, hasPredecessors });
  }

  start(): this {
    this.election.start({
      began: (term) => {
        this.term = term;
        this.events.push('began');
      },
      resumed: () => this.events.push('resumed'),
      ended: () => this.events.push('ended'),
      failed: () => {},
    });
    return this;
  }

  get leads(): boolean {
    return this.term?.mayWrite ?? false;
  }
}

let clock: ManualClock;
let lease: ScriptedLease;
beforeEach(() => {
  clock = new ManualClock();
  lease = new ScriptedLease();
});

interface Way {
  reachable: boolean;
}

function over(way: Way): LeaseStore {
  return {
    get: () => (way.reachable ? lease.get() : Promise.resolve(away)),
    create: (claim) => (way.reachable ? lease.create(claim) : Promise.resolve(away)),
    replace: (record, claim) => (way.reachable ? lease.replace(record, claim) : Promise.resolve(away)),
  };
}

/** Each candidate has its own connection to the API server. */
function candidates(): readonly [Candidate, Candidate, Way] {
  const way = { reachable: true };
  return [new Candidate('a', over(way), clock), new Candidate('b', lease, clock), way];
}

describe('the election of a leader', () => {
  it('has one winner, which stays leader', async () => {
    const [a, b] = candidates();
    a.start();
    b.start();
    await clock.advance(120_000);
    expect([a.leads, b.leads]).toEqual([true, false]);
    expect(a.events).toEqual(['began']);
    expect(lease.record?.holder).toBe('a');
  });

  it('passes to the next replica at once when the leader stops in order', async () => {
    const [a, b] = candidates();
    a.start();
    await clock.advance(1_000);
    b.start();
    await clock.advance(1_000);
    await a.election.stop();
    expect(a.leads).toBe(false);
    await clock.advance(2_100);
    expect(b.leads).toBe(true);
    expect(lease.record?.transitions).toBeLessThanOrEqual(1);
  });

  it('tells the winner by when every earlier leader had ended, unless the Lease does not say', async () => {
    const [a, b, way] = candidates();
    a.start();
    await clock.advance(5_000);
    expect(a.term?.othersEndedBy).toBeUndefined();
    way.reachable = false;
    await clock.advance(3_600_000);
    const lastWord = lease.record?.writtenAt ?? 0;
    b.start();
    await clock.advance(12_000);
    expect(b.leads).toBe(true);
    expect(b.term?.othersEndedBy).toBe(lastWord + 70_000);
    await b.election.stop();
    if (lease.record !== undefined) lease.record = { ...lease.record, writtenAt: undefined };
    const third = new Candidate('c', lease, clock).start();
    await clock.advance(3_000);
    expect([third.leads, third.term?.othersEndedBy]).toEqual([true, undefined]);
  });

  it('never has two leaders that can write: the old one stops 3 s before the new one can begin', async () => {
    const [a, b, way] = candidates();
    a.start();
    await clock.advance(5_000);
    b.start();
    await clock.advance(5_000);
    way.reachable = false;
    let pause = 0;
    for (let step = 0; step < 300 && !b.leads; step += 1) {
      await clock.advance(100);
      expect(a.leads && b.leads).toBe(false);
      if (!a.leads && !b.leads) pause += 100;
    }
    expect(b.leads).toBe(true);
    expect(pause).toBeGreaterThanOrEqual(2_500);
    way.reachable = true;
    await clock.advance(3_000);
    expect(a.events).toEqual(['began', 'ended']);
    expect(lease.record?.holder).toBe('b');
  });

  it('passes on 10 to 11 s after the last renewal of a leader that died, whenever the standby reads the Lease', async () => {
    for (let offset = 0; offset < 2_000; offset += 250) {
      lease = new ScriptedLease();
      const [a, b, way] = candidates();
      a.start();
      await clock.advance(50 + offset);
      b.start();
      // Just after a renewal: the standby's knowledge of earlier renewals must not count.
      await clock.advance(6_000 - offset);
      way.reachable = false;
      await clock.advance(10_700);
      expect({ offset, leads: b.leads }).toEqual({ offset, leads: true });
      await b.election.stop();
    }
  });

  it('leaves a leader its term while only the API server is away, and ends it after 45 s', async () => {
    const a = new Candidate('a', lease, clock).start();
    await clock.advance(3_000);
    lease.reachable = false;
    await clock.advance(30_000);
    expect(a.leads).toBe(false);
    lease.reachable = true;
    await clock.advance(3_000);
    expect(a.leads).toBe(true);
    expect(a.events).toEqual(['began', 'resumed']);
    lease.reachable = false;
    await clock.advance(50_000);
    expect(a.events).toEqual(['began', 'resumed', 'ended']);
    lease.reachable = true;
    await clock.advance(3_000);
    expect(a.events).toEqual(['began', 'resumed', 'ended', 'began']);
  });

  it('lets the leader write throughout when one request takes its longest time and is lost', async () => {
    const way: LeaseStore = {
      get: () => lease.get(),
      create: (claim) => lease.create(claim),
      replace: (record, claim) => {
        lost += 1;
        if (lost !== 2) return lease.replace(record, claim);
        return new Promise((resolve) => clock.after(claim.timeoutMilliseconds ?? 0, () => resolve(away)));
      },
    };
    let lost = 0;
    const a = new Candidate('a', way, clock).start();
    await clock.advance(1_000);
    for (let step = 0; step < 150; step += 1) {
      expect(a.leads).toBe(true);
      await clock.advance(100);
    }
    expect(lost).toBeGreaterThan(3);
    expect(a.events).toEqual(['began']);
  });

  it('is not ended by somebody who edits the Lease, but by one who deletes it', async () => {
    const a = new Candidate('a', lease, clock).start();
    await clock.advance(3_000);
    lease.touch();
    await clock.advance(10_000);
    expect(a.events).toEqual(['began']);
    lease.record = undefined;
    await clock.advance(5_000);
    expect(a.events).toEqual(['began', 'ended', 'began']);
  });

  it('is not affected by steps of the wall clock', async () => {
    let monotonic = 0;
    const stepping = new Candidate('a', lease, clock, { monotonic: () => monotonic }).start();
    for (let step = 0; step < 40; step += 1) {
      monotonic += 1_000;
      await clock.advance(step === 20 ? 3_600_000 : 1_000);
    }
    expect(stepping.events).toEqual(['began']);
  });

  it('tells a frozen leader that wakes up that it cannot write', async () => {
    let monotonic = 0;
    const a = new Candidate('a', lease, clock, { monotonic: () => monotonic }).start();
    await clock.advance(100);
    expect(a.leads).toBe(true);
    monotonic += 7_000;
    expect(a.leads).toBe(false);
  });

  it('never lets two replicas write, and never assumes too early an end of a term, whatever happens; one leads at the end', async () => {
    let knownEnds = 0;
    await fc.assert(
      fc.asyncProperty(history, async (mishaps) => {
        clock = new ManualClock();
        lease = new ScriptedLease();
        const trio = new Trio();
        await trio.begin();
        for (const { kind, whom, pause } of mishaps) {
          trio.suffer(kind, whom);
          await trio.pass(pause);
        }
        expect(await trio.recover()).toBe(1);
        knownEnds += trio.knownEnds;
      }),
      { numRuns: 100, examples: [[staleStandby], [oldCopy], [missingTwice]] },
    );
    expect(knownEnds).toBeGreaterThan(50);
  });
});

/** What happens to the Lease, or to the connection of one of three replicas. */
const mishapKinds = ['Delete', 'StrikeOut', 'Shorten', 'PutBack', 'Cut', 'Reconnect', 'CutAll'] as const;
const mishapKind = fc.constantFrom(...mishapKinds);
const mishap = fc.record({
  kind: mishapKind,
  whom: fc.integer({ min: 0, max: 2 }),
  pause: fc.integer({ min: 1, max: 130 }),
});
const history = fc.array(mishap, { maxLength: 12 });
/** A standby that was cut off has seen no renewal since, and finds no Lease when it is back. */
const staleStandby: { readonly kind: MishapKind; whom: number; pause: number }[] = [
  { kind: 'Cut', whom: 1, pause: 1 },
  { kind: 'Delete', whom: 0, pause: 70 },
  { kind: 'Delete', whom: 0, pause: 1 },
];
/** The Lease is deleted while its holder is cut off, and created again from an hour-old copy. */
const oldCopy: { readonly kind: MishapKind; whom: number; pause: number }[] = [
  { kind: 'Cut', whom: 0, pause: 40 },
  { kind: 'PutBack', whom: 0, pause: 120 },
];
/** A starting replica finds no Lease, is cut off, and finds none again. In between there was one. */
const missingTwice: { readonly kind: MishapKind; whom: number; pause: number }[] = [
  { kind: 'Delete', whom: 0, pause: 1 },
  { kind: 'Cut', whom: 2, pause: 1 },
  { kind: 'Delete', whom: 0, pause: 89 },
  { kind: 'Delete', whom: 0, pause: 1 },
];
type MishapKind = (typeof mishapKinds)[number];

/** The third candidate starts when it is first selected, and has seen no Lease until then. */
class Trio {
  readonly #ways = [{ reachable: true }, { reachable: true }, { reachable: true }];
  readonly #all = this.#ways.map((way, index) => new Candidate(`candidate-${index}`, over(way), clock, { skew: 0 }));
  /** The latest time at which a term before the current one could write, and the current term. */
  #earlierWroteAt = Number.NEGATIVE_INFINITY;
  #latest: { readonly term: Term; wroteAt: number } | undefined;
  knownEnds = 0;

  async begin(): Promise<void> {
    const [first, second, third] = this.#all;
    first?.start();
    await this.pass(20);
    second?.start();
    await this.pass(10);
    if (third !== undefined) third.late = true;
  }

  /** Each step is a tenth of a second. */
  async pass(steps: number): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      await clock.advance(100);
      expect(this.#leaders).toBeLessThanOrEqual(1);
      for (const { leads, term } of this.#all) if (leads && term !== undefined) this.#writes(term);
    }
  }

  #writes(term: Term): void {
    if (this.#latest?.term !== term) {
      this.#earlierWroteAt = this.#latest?.wroteAt ?? this.#earlierWroteAt;
      this.#latest = { term, wroteAt: clock.now() };
      if (term.othersEndedBy !== undefined) this.knownEnds += 1;
    }
    this.#latest.wroteAt = clock.now();
    expect(term.othersEndedBy ?? Number.POSITIVE_INFINITY).toBeGreaterThan(this.#earlierWroteAt);
  }

  suffer(kind: MishapKind, whom: number): void {
    if (whom === 2) this.#all[2]?.start();
    if (kind === 'Delete') lease.record = undefined;
    if (kind === 'PutBack') lease.putBack();
    if (kind === 'StrikeOut') lease.touch({ holder: undefined });
    // Without a holder, the edit would look like a leader that gives up the Lease.
    if (kind === 'Shorten' && lease.record?.holder !== undefined) lease.touch({ durationMilliseconds: 1_000 });
    for (const [index, way] of this.#ways.entries()) way.reachable = isReachable(way, kind, index === whom);
  }

  /** How many replicas lead once the Lease has been left alone for long enough. */
  async recover(): Promise<number> {
    for (const way of this.#ways) way.reachable = true;
    await this.pass(130);
    const leaders = this.#leaders;
    await Promise.all(this.#all.map(({ election }) => election.stop()));
    return leaders;
  }

  get #leaders(): number {
    return this.#all.filter(({ leads }) => leads).length;
  }
}

function isReachable({ reachable }: Way, kind: MishapKind, isMeant: boolean): boolean {
  if (kind === 'CutAll' || (kind === 'Cut' && isMeant)) return false;
  return reachable || (kind === 'Reconnect' && isMeant);
}
