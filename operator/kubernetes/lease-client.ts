// Reads and writes one Lease. Every write names the version that it replaces, so that of two takers one wins.
import { z } from 'zod';
import { type Clock, delay } from '../../runtime/clock.ts';
import { connectionError, failed, type Outcome, succeeded } from './api-error.ts';
import type { KubeHttp, KubeRequest } from './http.ts';

const lease = z.object({
  metadata: z.looseObject({
    name: z.string(),
    resourceVersion: z.string(),
    annotations: z.record(z.string(), z.string()).optional(),
    creationTimestamp: z.string().optional(),
    managedFields: z.array(z.looseObject({ time: z.string().optional() })).optional(),
  }),
  spec: z
    .object({
      holderIdentity: z.string().optional(),
      leaseDurationSeconds: z.number().optional(),
      acquireTime: z.string().optional(),
      renewTime: z.string().optional(),
      leaseTransitions: z.number().default(0),
    })
    .prefault({}),
});

export interface LeaseRecord {
  /** As the API server sent it, labels of other people included. */
  readonly metadata: z.infer<typeof lease>['metadata'];
  readonly holder: string | undefined;
  readonly durationMilliseconds: number;
  readonly acquireTime: string | undefined;
  readonly transitions: number;
  /** The latest time that stands in it (`lastTime`), in milliseconds since the epoch. */
  readonly writtenAt: number | undefined;
}

export interface Claim {
  /** Undefined gives the Lease up. */
  readonly holder: string | undefined;
  /** Wall-clock time, for people. No lease is measured by it. */
  readonly now: number;
  readonly durationMilliseconds?: number;
  readonly timeoutMilliseconds?: number;
}

/** Where one Lease is kept. */
export interface LeaseStore {
  get(timeoutMilliseconds: number): Promise<Outcome<LeaseRecord>>;
  create(claim: Claim): Promise<Outcome<LeaseRecord>>;
  /** Only in the version that `record` was read in. */
  replace(record: LeaseRecord, claim: Claim): Promise<Outcome<LeaseRecord>>;
}

export interface LeaseClientOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly namespace: string;
  readonly name: string;
  /** Of whoever holds the Lease by this client, asked anew for each write; undefined takes one off. */
  readonly annotations?: () => Readonly<Record<string, string | undefined>>;
  /** Told of the annotations with each answer. */
  readonly seen?: (annotations: Readonly<Record<string, string>> | undefined) => void;
}

const defaultTimeoutMilliseconds = 4_000;

export class LeaseClient implements LeaseStore {
  readonly #options: LeaseClientOptions;

  constructor(options: LeaseClientOptions) {
    this.#options = options;
  }

  get(timeoutMilliseconds: number): Promise<Outcome<LeaseRecord>> {
    return this.#request({ method: 'GET', path: `${this.#collection}/${this.#options.name}` }, timeoutMilliseconds);
  }

  create(claim: Claim): Promise<Outcome<LeaseRecord>> {
    const { annotations, name, namespace } = this.#options;
    const metadata = { name, namespace, ...(annotations && { annotations: annotations() }) };
    const body = { ...typeMeta, metadata, spec: specOf(claim, undefined) };
    return this.#request({ method: 'POST', path: this.#collection, body }, claim.timeoutMilliseconds);
  }

  replace(record: LeaseRecord, claim: Claim): Promise<Outcome<LeaseRecord>> {
    const annotations = {
      ...record.metadata.annotations,
      ...(claim.holder !== undefined && this.#options.annotations?.()),
    };
    const body = { ...typeMeta, metadata: { ...record.metadata, annotations }, spec: specOf(claim, record) };
    const path = `${this.#collection}/${this.#options.name}`;
    return this.#request({ method: 'PUT', path, body }, claim.timeoutMilliseconds);
  }

  get #collection(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(this.#options.namespace)}/leases`;
  }

  async #request(
    request: KubeRequest,
    timeoutMilliseconds = defaultTimeoutMilliseconds,
  ): Promise<Outcome<LeaseRecord>> {
    const { http, clock } = this.#options;
    const timeout = new AbortController();
    const answered = new AbortController();
    delay(clock, timeoutMilliseconds, answered.signal).then(
      () => timeout.abort(),
      () => {},
    );
    const answer = await http.request({ ...request, signal: timeout.signal });
    answered.abort();
    const record = answer.ok ? parse(answer.value) : answer;
    if (record.ok) this.#options.seen?.(record.value.metadata.annotations);
    return record;
  }
}

/** What a leader that gives the Lease up leaves in it, as client-go does; zero is not allowed. */
const givenUpSeconds = 1;

/** By its holder itself, and not by somebody who struck out the name. */
export function isGivenUp({ holder, durationMilliseconds }: LeaseRecord): boolean {
  return holder === undefined && durationMilliseconds <= givenUpSeconds * 1_000;
}

const typeMeta = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' } as const;

function specOf({ holder, now, durationMilliseconds }: Claim, before: LeaseRecord | undefined): object {
  const time = new Date(now).toISOString().replace('Z', '000Z');
  const changed = holder !== before?.holder;
  const transitions = before?.transitions ?? 0;
  return {
    holderIdentity: holder ?? '',
    leaseDurationSeconds: durationMilliseconds === undefined ? givenUpSeconds : Math.ceil(durationMilliseconds / 1000),
    acquireTime: changed ? time : (before?.acquireTime ?? time),
    renewTime: time,
    leaseTransitions: changed && before !== undefined && holder !== undefined ? transitions + 1 : transitions,
  };
}

function parse(raw: unknown): Outcome<LeaseRecord> {
  const parsed = lease.safeParse(raw);
  if (!parsed.success) return failed(connectionError('MalformedResponse', 'the answer is no Lease'));
  const { metadata, spec } = parsed.data;
  return succeeded({
    metadata,
    holder: spec.holderIdentity === undefined || spec.holderIdentity === '' ? undefined : spec.holderIdentity,
    durationMilliseconds: (spec.leaseDurationSeconds ?? 0) * 1000,
    acquireTime: spec.acquireTime,
    transitions: spec.leaseTransitions,
    writtenAt: lastTime(parsed.data),
  });
}

/**
 * No earlier than its last write: `managedFields` has the time of the API server for each writer, and a Lease that somebody
 * restored from an old copy says when it was created. `renewTime`, by the clock of its holder, can only make it later.
 */
function lastTime({ metadata, spec }: z.infer<typeof lease>): number | undefined {
  const created = Date.parse(metadata.creationTimestamp ?? '');
  if (Number.isNaN(created)) return undefined;
  const others = [spec.acquireTime, spec.renewTime, ...(metadata.managedFields ?? []).map(({ time }) => time)];
  return Math.max(created, ...others.map((time) => Date.parse(time ?? '')).filter((time) => !Number.isNaN(time)));
}
