// Reads and writes one Lease. Every write names the version that it replaces, so that only one of two candidates
// succeeds.
import { z } from 'zod';
import type { Clock } from '../../runtime/clock.ts';
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
  /** As the API server sent it, including other people's labels. */
  readonly metadata: z.infer<typeof lease>['metadata'];
  readonly holder: string | undefined;
  readonly durationMilliseconds: number;
  readonly acquireTime: string | undefined;
  readonly transitions: number;
  /** The latest time that the Lease contains (`lastTime`), in milliseconds since the epoch. */
  readonly writtenAt: number | undefined;
}

export interface Claim {
  /** Undefined gives up the Lease. */
  readonly holder: string | undefined;
  /** Wall-clock time, for people. It is not used to measure a lease. */
  readonly now: number;
  readonly durationMilliseconds?: number;
  readonly timeoutMilliseconds?: number;
}

/** Stores one Lease. */
export interface LeaseStore {
  get(timeoutMilliseconds: number): Promise<Outcome<LeaseRecord>>;
  create(claim: Claim): Promise<Outcome<LeaseRecord>>;
  /** Succeeds only if `record` is the current version. */
  replace(record: LeaseRecord, claim: Claim): Promise<Outcome<LeaseRecord>>;
}

export interface LeaseClientOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly namespace: string;
  readonly name: string;
  /** Annotations of the holder, read for each write. An undefined value removes an annotation. */
  readonly annotations?: () => Readonly<Record<string, string | undefined>>;
  /** Called with the annotations of each answer. */
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
    const timer = clock.after(timeoutMilliseconds, () => timeout.abort());
    const answer = await http.request({ ...request, signal: timeout.signal });
    timer.cancel();
    const record = answer.ok ? parse(answer.value) : answer;
    if (record.ok) this.#options.seen?.(record.value.metadata.annotations);
    return record;
  }
}

/** The duration in a Lease that its leader gave up, as in client-go; zero is not allowed. */
const givenUpSeconds = 1;

/** True when the holder itself gave up the Lease, false when somebody else removed the holder. */
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
  if (!parsed.success) return failed(connectionError('MalformedResponse', 'the answer is not a Lease'));
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
 * A time no earlier than the last write. `managedFields` has a time of the API server for each writer, and a Lease that
 * was restored from an old copy has its creation time. `renewTime` comes from the holder's clock and can only move the
 * result to later.
 */
function lastTime({ metadata, spec }: z.infer<typeof lease>): number | undefined {
  const created = Date.parse(metadata.creationTimestamp ?? '');
  if (Number.isNaN(created)) return undefined;
  const others = [spec.acquireTime, spec.renewTime, ...(metadata.managedFields ?? []).map(({ time }) => time)];
  return Math.max(created, ...others.map((time) => Date.parse(time ?? '')).filter((time) => !Number.isNaN(time)));
}
