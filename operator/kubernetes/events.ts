// Events (events.k8s.io/v1) about our objects. A repeated Event increases the count in the series of the first one,
// written at most once a minute. Recording never waits for the API server; Events beyond the bounds are dropped and
// counted.
//
// At most 25 Events about one object are written at once, and then one every five minutes: client-go's
// EventSourceObjectSpamFilter (k8s.io/client-go/tools/record/events_cache.go). Namespaces take turns, and none fills
// the room of the others.
import { apiVersion } from '../../crds/names.ts';
import { beginningInBytes } from '../../runtime/beginning.ts';
import { type Clock, delay, type RandomUUID } from '../../runtime/clock.ts';
import { KeyedAllowances } from '../queue/keyed-allowances.ts';
import { Turns } from '../queue/turns.ts';
import type { ApiError } from './api-error.ts';
import type { KubeHttp } from './http.ts';
import type { StoredMeta } from './objects.ts';

export interface EventRecord {
  readonly regarding: { readonly kind: string; readonly metadata: Pick<StoredMeta, 'name' | 'namespace' | 'uid'> };
  readonly type: 'Normal' | 'Warning';
  /** A code of protocol/reasons.ts, unless an agent of another version sent it. */
  readonly reason: string;
  /** The action or finding, in CamelCase. */
  readonly action: string;
  readonly note: string;
}

export interface EventObserver {
  dropped(record: EventRecord, why: 'queue_full' | 'rate_limited' | 'stopped' | ApiError): void;
}

export interface EventRecorderOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly randomUUID: RandomUUID;
  readonly instance: string;
  readonly observer: EventObserver;
}

const bounds = {
  waiting: 2_000,
  remembered: 4_096,
  noteBytes: 1_024,
  nameChars: 200,
  attempts: 4,
  writers: 4,
} as const;
export const spamFilter = { rate: { burst: 25, perSecond: 1 / 300 }, objects: 10_000 } as const;
const stopMilliseconds = 3_000;
const seriesMilliseconds = { window: 10 * 60_000, writeEvery: 60_000 } as const;

interface Series {
  readonly name: string;
  readonly record: EventRecord;
  count: number;
  writtenCount: number;
  writtenAt: number;
}

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  readonly #waiting = new Turns();
  readonly #waitingSeries = new Map<string, Series>();
  /** Allowances by object. */
  readonly #allowances: KeyedAllowances;
  readonly #stop = new AbortController();
  /** Series that are being written: no series is written twice at a time. */
  readonly #writing = new Set<string>();
  readonly #again = new Map<string, Series>();
  readonly #writers = new Set<Promise<void>>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#allowances = new KeyedAllowances(options.clock, spamFilter.rate, spamFilter.objects);
  }

  record(whole: EventRecord): void {
    const record = { ...whole, note: beginningInBytes(whole.note, bounds.noteBytes) };
    const { uid } = record.regarding.metadata;
    const key = [uid, record.type, record.reason, record.note].join('\0');
    const known = this.#series.get(key);
    const now = this.#options.clock.now();
    if (known !== undefined && Math.abs(now - known.writtenAt) < seriesMilliseconds.window) {
      known.count += 1;
      const isDue = now - known.writtenAt >= seriesMilliseconds.writeEvery;
      if (isDue && this.#allowances.tryTake(uid)) this.#enqueue(key, known);
      return;
    }
    if (!this.#allowances.tryTake(uid)) {
      this.#options.observer.dropped(record, 'rate_limited');
      return;
    }
    const name = `${nameOf(record)}.${this.#options.randomUUID()}`;
    const series = { name, record, count: 1, writtenCount: 0, writtenAt: now };
    this.#remember(key, series);
    this.#enqueue(key, series);
  }

  /** Writes waiting Events, as far as the API server accepts them within a few seconds. */
  async stop(): Promise<void> {
    const timer = this.#options.clock.after(stopMilliseconds, () => this.#stop.abort());
    await Promise.all(this.#writers);
    timer.cancel();
    this.#stop.abort();
  }

  #remember(key: string, series: Series): void {
    this.#series.delete(key);
    this.#series.set(key, series);
    for (const oldest of this.#series.keys()) {
      if (this.#series.size <= bounds.remembered) break;
      this.#series.delete(oldest);
    }
  }

  /** One namespace may fill half of the room, two a third each, and so on. */
  #enqueue(key: string, series: Series): void {
    if (this.#writing.has(key)) {
      this.#again.set(key, series);
      return;
    }
    const group = series.record.regarding.metadata.namespace ?? '';
    if (this.#waiting.sizeOf(group) >= bounds.waiting - this.#waiting.size) {
      this.#options.observer.dropped(series.record, 'queue_full');
      return;
    }
    this.#waiting.add({ key, group, addedAt: this.#options.clock.now() }, false);
    this.#waitingSeries.set(key, series);
    if (this.#writers.size >= bounds.writers) return;
    const writer = this.#drain().finally(() => this.#writers.delete(writer));
    this.#writers.add(writer);
  }

  async #drain(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const [key, series] = next;
      series.writtenAt = this.#options.clock.now();
      if (this.#stop.signal.aborted) {
        this.#options.observer.dropped(series.record, 'stopped');
        continue;
      }
      this.#writing.add(key);
      const error = await this.#write(series);
      this.#writing.delete(key);
      if (error !== undefined) this.#options.observer.dropped(series.record, error);
      const again = this.#again.get(key);
      if (this.#again.delete(key) && again !== undefined) this.#enqueue(key, again);
    }
  }

  #next(): [string, Series] | undefined {
    const key = this.#waiting.take(() => true)?.key;
    const series = key === undefined ? undefined : this.#waitingSeries.get(key);
    if (key === undefined || series === undefined) return undefined;
    this.#waitingSeries.delete(key);
    return [key, series];
  }

  async #write(series: Series): Promise<ApiError | undefined> {
    const count = series.count;
    for (let attempt = 1; ; attempt += 1) {
      const request = series.writtenCount === 0 ? this.#creation(series) : this.#update(series);
      const outcome = await this.#options.http.request({ ...request, ignoreAnswer: true, signal: this.#stop.signal });
      if (outcome.ok) {
        series.writtenCount = count;
        return undefined;
      }
      if (!outcome.error.retryable || attempt >= bounds.attempts || this.#stop.signal.aborted) return outcome.error;
      await delay(
        this.#options.clock,
        outcome.error.retryAfterMilliseconds ?? 500 * 2 ** attempt,
        this.#stop.signal,
      ).catch(() => {});
    }
  }

  #creation(series: Series) {
    const { regarding, type, reason, action, note } = series.record;
    const { name, namespace, uid } = regarding.metadata;
    const eventNamespace = namespace ?? 'default';
    return {
      method: 'POST',
      path: `/apis/events.k8s.io/v1/namespaces/${eventNamespace}/events`,
      body: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: series.name, namespace: eventNamespace },
        eventTime: microTime(series.writtenAt),
        reportingController: 'lcow-operator',
        reportingInstance: this.#options.instance.slice(0, 128),
        action,
        reason,
        note,
        type,
        regarding: { apiVersion, kind: regarding.kind, name, uid, ...(namespace === undefined ? {} : { namespace }) },
      },
    } as const;
  }

  #update(series: Series) {
    const namespace = series.record.regarding.metadata.namespace ?? 'default';
    return {
      method: 'PATCH',
      path: `/apis/events.k8s.io/v1/namespaces/${namespace}/events/${series.name}`,
      contentType: 'application/merge-patch+json',
      body: { series: { count: Math.max(2, series.count), lastObservedTime: microTime(series.writtenAt) } },
    } as const;
  }
}

/** The beginning of the object's name that may precede a dot: each part of a name ends in a letter or digit. */
function nameOf({ regarding }: EventRecord): string {
  const name = regarding.metadata.name.slice(0, bounds.nameChars);
  let { length } = name;
  while (name[length - 1] === '-' || name[length - 1] === '.') length -= 1;
  return name.slice(0, length);
}

function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
