// A cache of one collection that follows the API server: lists once, then watches; lists again only when the server has
// forgotten where we were (410). While the server fails, the cache keeps what it had, and trying goes on for ever.
//
// A cluster that was restored from a backup goes back in versions, and so does one API server of several whose cache is
// behind; the first is to be believed, the second is not. A server whose cache is behind catches up within seconds, or
// another one answers: so a list that is older than what is known is refused, and asked for again, five times, with
// pauses of 12 to 25 s in all. Who is as old after that was restored. A live read that is older than what is known of
// its object needs no second one: it comes from etcd itself, past all caches (`distrust`).
//
// After a restore a watch from a version that is yet to come is silent, not refused, and says nothing of what happens until
// the cluster is there again: so whenever a watch broke off, the version that the server has is looked at first.
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { type ApiError, connectionError, isGone } from './api-error.ts';
import { ExpectedVersions } from './expected-versions.ts';
import type { KubeHttp } from './http.ts';
import { objectKey, type Stored } from './objects.ts';
import { RetryPauses } from './retry-pauses.ts';
import { isOlder, list, versionNow, watch } from './watch.ts';

export type Change<T> =
  | {
      readonly type: 'Applied';
      readonly key: string;
      readonly object: T;
      readonly previous: T | undefined;
      /** Told by a list: which other versions of the object do not count any more, newer as they may be. */
      readonly outranks?: Outranked;
      /** Told by a watch, of an object that was not there before. */
      readonly appeared?: true;
    }
  | { readonly type: 'Deleted'; readonly key: string; readonly object: T };

/** Those until this one, since a list shows what is then; or all, once the cluster has gone back. */
export type Outranked = { readonly until: string } | 'All';

export interface ReflectorObserver {
  /** A list or watch failed; it is tried again. */
  failed(path: string, error: ApiError): void;
  listed(path: string, count: number): void;
  /** An object without usable metadata, or a handler that threw. */
  unexpected(path: string, what: 'unparsable_object' | 'handler_error', error: unknown): void;
}

export interface ReflectorOptions<T extends Stored> {
  readonly http: KubeHttp;
  readonly path: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: ReflectorObserver;
  /** Also drops what the cache need not hold. */
  readonly parse: (raw: unknown) => T | undefined;
  /** How long a watch may bring nothing, not even a bookmark, before another connection is tried. */
  readonly silenceMilliseconds?: number;
}

/** As client-go's reflector has it; the watch ends at the server's hand, at a time that differs between clients. */
const timing = {
  /** A watch that the server ends sooner than this, without an event, is a failure. */
  shortestWatchMilliseconds: 1_000,
  watchSecondsMinimum: 300,
  watchSecondsSpread: 300,
  /** An API server sends a bookmark a minute: a connection on which two are missing may be half open. */
  silenceMilliseconds: 150_000,
  /** A connection that was left from before the watch broke off may be as dead. */
  lookMilliseconds: 10_000,
} as const;

const staleListsMaximum = 5;

export class Reflector<T extends Stored> {
  readonly #options: ReflectorOptions<T>;
  readonly #store = new Map<string, T>();
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #expected = new ExpectedVersions<T>();
  readonly #stop = new AbortController();
  readonly #pauses: RetryPauses;
  #resourceVersion: string | undefined;
  /** Up to where everything is known: an older list, from an API server that is behind, is not taken. */
  #known: string | undefined;
  #staleLists = 0;
  /** A live read has shown that the cluster went back. */
  #distrusted = false;
  /** Whether the server may be another than it was. */
  #unsure = false;
  #watching: AbortController | undefined;
  #synced = false;
  #run: Promise<void> | undefined;
  #waiting: (() => void)[] = [];

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#pauses = new RetryPauses(options.clock, options.random);
  }

  get hasSynced(): boolean {
    return this.#synced;
  }

  get(key: string): T | undefined {
    return this.#store.get(key);
  }

  values(): Iterable<T> {
    return this.#store.values();
  }

  /** Every object that is known already is told as `Applied` first. Returns what ends it. */
  onChange(handler: (change: Change<T>) => void): () => void {
    for (const [key, object] of this.#store) {
      this.#tellOne(handler, { type: 'Applied', key, object, previous: undefined });
    }
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** A version that a write answered: when the watch tells of it, it need not be read a second time. */
  expect(object: T): void {
    this.#expected.add(object);
  }

  /** Somebody read an object live that is older than it is known here: what is listed next is the truth, however old. */
  distrust(): void {
    this.#distrusted = true;
    this.#resourceVersion = undefined;
    this.#watching?.abort();
  }

  start(): void {
    this.#run ??= this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }

  waitForSync(): Promise<void> {
    if (this.#synced) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedAt = this.#options.clock.now();
      const error = await this.#step();
      if (signal.aborted) return;
      if (error === undefined) {
        this.#pauses.reset();
        continue;
      }
      if (isGone(error)) this.#resourceVersion = undefined;
      else this.#unsure = true;
      this.#options.observer.failed(this.#options.path, error);
      await delay(this.#options.clock, this.#pauses.after(error, startedAt), signal).catch(() => {});
    }
  }

  async #step(): Promise<ApiError | undefined> {
    if (this.#resourceVersion !== undefined && this.#unsure) {
      const problem = await this.#lookAtVersion(this.#resourceVersion);
      if (problem !== undefined) return problem;
    }
    return this.#resourceVersion === undefined ? this.#list() : this.#watch(this.#resourceVersion);
  }

  async #lookAtVersion(known: string): Promise<ApiError | undefined> {
    const { http, path, silenceMilliseconds: silence = timing.silenceMilliseconds } = this.#options;
    const now = await versionNow(http, path, this.#stop.signal, Math.min(silence, timing.lookMilliseconds));
    if (!now.ok) return now.error;
    this.#unsure = false;
    if (isOlder(now.value, known)) this.#resourceVersion = undefined;
    return undefined;
  }

  async #list(): Promise<ApiError | undefined> {
    const { http, path, observer } = this.#options;
    const present = new Set<string>();
    const believed = this.#distrusted || this.#staleLists >= staleListsMaximum;
    const onItems = (items: readonly unknown[], resourceVersion: string) => {
      const outranks = this.#outranked(resourceVersion);
      if (outranks === 'All') this.#expected.clear();
      for (const item of items) {
        const key = this.#apply(this.#parse(item), outranks);
        if (key !== undefined) present.add(key);
      }
    };
    const listed = await list(http, path, this.#stop.signal, onItems, believed ? undefined : this.#known);
    // What was listed until then is true all the same; nothing is gone before all are listed.
    if (!listed.ok) {
      if (listed.error.reason === 'StaleList') {
        // It answered: failures before that do not lengthen the pauses.
        this.#pauses.reset(this.#staleLists);
        this.#staleLists += 1;
      }
      return listed.error;
    }
    this.#staleLists = 0;
    this.#distrusted = false;
    this.#unsure = false;
    for (const [key, object] of this.#store) if (!present.has(key)) this.#delete(key, object);
    this.#progress(listed.value);
    this.#synced = true;
    observer.listed(path, present.size);
    for (const resolve of this.#waiting.splice(0)) resolve();
    return undefined;
  }

  #outranked(resourceVersion: string): Outranked {
    const wentBack = this.#distrusted || (this.#known !== undefined && isOlder(resourceVersion, this.#known));
    return wentBack ? 'All' : { until: resourceVersion };
  }

  #progress(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#known = resourceVersion;
  }

  async #watch(resourceVersion: string): Promise<ApiError | undefined> {
    const { http, path, random, clock, silenceMilliseconds = timing.silenceMilliseconds } = this.#options;
    const startedAt = clock.now();
    const watching = new AbortController();
    this.#watching = watching;
    let events = 0;
    const error = await watch(http, {
      path,
      resourceVersion,
      timeoutSeconds: Math.round(timing.watchSecondsMinimum + random() * timing.watchSecondsSpread),
      silenceMilliseconds,
      signal: AbortSignal.any([this.#stop.signal, watching.signal]),
      onEvent: (event) => {
        if (watching.signal.aborted) return;
        events += 1;
        this.#pauses.reset();
        if (event.type === 'Applied') this.#apply(this.#expected.take(event) ?? this.#parse(event.object));
        if (event.type === 'Deleted') this.#remove(event.object);
        this.#progress(event.resourceVersion);
      },
    });
    const tooShort = events === 0 && clock.now() - startedAt < timing.shortestWatchMilliseconds;
    return error ?? (tooShort ? connectionError('ConnectionFailed', 'the watch ended at once') : undefined);
  }

  #apply(object: T | undefined, outranks?: Outranked): string | undefined {
    if (object === undefined) return undefined;
    const key = objectKey(object.metadata);
    const previous = this.#store.get(key);
    if (previous?.metadata.uid === object.metadata.uid) {
      // Two histories may have given one number to two versions.
      if (outranks !== 'All' && previous.metadata.resourceVersion === object.metadata.resourceVersion) return key;
    } else if (previous !== undefined) {
      this.#delete(key, previous); // deleted and created anew under its name while nobody watched
    }
    this.#store.set(key, object);
    this.#tell({
      type: 'Applied',
      key,
      object,
      previous: previous === undefined ? undefined : this.#sameObject(previous, object),
      ...(outranks !== undefined && { outranks }),
      ...(outranks === undefined && previous === undefined && { appeared: true }),
    });
    return key;
  }

  #sameObject(previous: T, object: T): T | undefined {
    return previous.metadata.uid === object.metadata.uid ? previous : undefined;
  }

  #remove(raw: unknown): void {
    const object = this.#parse(raw);
    if (object !== undefined) this.#delete(objectKey(object.metadata), object);
  }

  #delete(key: string, object: T): void {
    this.#store.delete(key);
    this.#tell({ type: 'Deleted', key, object });
  }

  #parse(raw: unknown): T | undefined {
    const object = this.#options.parse(raw);
    if (object === undefined) this.#options.observer.unexpected(this.#options.path, 'unparsable_object', undefined);
    return object;
  }

  #tell(change: Change<T>): void {
    for (const handler of this.#handlers) this.#tellOne(handler, change);
  }

  #tellOne(handler: (change: Change<T>) => void, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      this.#options.observer.unexpected(this.#options.path, 'handler_error', error);
    }
  }
}
