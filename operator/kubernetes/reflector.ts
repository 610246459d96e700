// A cache of one collection that follows the API server: lists once, then watches, and lists again only when the server
// no longer has the watched version (410). While the server fails, the cache keeps its content and the reflector keeps
// trying.
//
// A cluster that was restored from a backup goes back in versions, and so does an API server, one of several, whose
// cache is behind. The first must be believed, the second must not. A server whose cache is behind catches up within
// seconds, or another server answers. So a list that is older than the known state is refused and requested again, five
// times, with pauses of 12 to 25 s in total; a server that is still as old was restored. A live read that is older than
// the known version of its object needs no second one: it comes from etcd, past all caches (`distrust`).
//
// After a restore, a watch from a version that does not exist yet is silent, not refused, and reports nothing until the
// cluster reaches that version. So after each interruption of a watch, the reflector first checks the version of the
// server.
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { type ApiError, connectionError, isGone, isUnservedKind } from './api-error.ts';
import { ExpectedVersions } from './expected-versions.ts';
import type { KubeHttp } from './http.ts';
import { objectKey, type Stored } from './objects.ts';
import { RetryPauses } from './retry-pauses.ts';
import { type Collection, isOlder, list, versionNow, watch } from './watch.ts';

export type Change<T> =
  | {
      readonly type: 'Applied';
      readonly key: string;
      readonly object: T;
      readonly previous: T | undefined;
      /** Set by a list: versions of the object that are void even if they are newer. */
      readonly outranks?: Outranked;
      /** Set by a watch, for an object that did not exist before. */
      readonly appeared?: true;
    }
  | { readonly type: 'Deleted'; readonly key: string; readonly object: T };

/**
 * Versions up to this one, because a list shows the state at that version; or all, once the cluster went back in time.
 */
export type Outranked = { readonly until: string } | 'All';

export interface ReflectorObserver {
  /** A list or watch failed. It is tried again. */
  failed(path: string, error: ApiError): void;
  listed(path: string, count: number): void;
  /** An object without usable metadata, or a handler that threw. */
  unexpected(path: string, what: 'unparsable_object' | 'handler_error', error: unknown): void;
}

export interface ReflectorOptions<T extends Stored> extends Collection {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: ReflectorObserver;
  /** Also drops the parts that the cache need not keep. */
  readonly parse: (raw: unknown) => T | undefined;
  /** How long a watch may be silent, without even a bookmark, before another connection is tried. */
  readonly silenceMilliseconds?: number;
}

/** The numbers of client-go's reflector. The server ends a watch after a time that differs between clients. */
const timing = {
  /** A watch that the server ends sooner than this, without an event, is a failure. */
  shortestWatchMilliseconds: 1_000,
  watchSecondsMinimum: 300,
  watchSecondsSpread: 300,
  /** An API server sends a bookmark each minute. A connection without two of them may be half open. */
  silenceMilliseconds: 150_000,
  /** A pooled connection from before the interruption may be dead, too. */
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
  /**
   * The version up to which everything is known. An older list comes from an API server that is behind, and is refused.
   */
  #known: string | undefined;
  #staleLists = 0;
  /** A live read has shown that the cluster went back. */
  #distrusted = false;
  /** Whether the server may be a different one now. */
  #unsure = false;
  #watching: AbortController | undefined;
  #synced = false;
  #served = true;
  #run: Promise<void> | undefined;
  #waiting: (() => void)[] = [];

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#pauses = new RetryPauses(options.clock, options.random);
  }

  get hasSynced(): boolean {
    return this.#synced;
  }

  /** False while the API server does not know the kind, as after its CustomResourceDefinition was deleted. */
  get isServed(): boolean {
    return this.#served;
  }

  get(key: string): T | undefined {
    return this.#store.get(key);
  }

  values(): Iterable<T> {
    return this.#store.values();
  }

  /** Reports every known object as `Applied` first. Returns a function that removes the handler. */
  onChange(handler: (change: Change<T>) => void): () => void {
    for (const [key, object] of this.#store) {
      this.#tellOne(handler, { type: 'Applied', key, object, previous: undefined });
    }
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Takes a version that a write returned: when the watch reports it, it need not be parsed a second time. */
  expect(object: T): void {
    this.#expected.add(object);
  }

  /** A live read returned an older version than the known one: the next list is true, however old it is. */
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
        this.#served = true;
        this.#pauses.reset();
        continue;
      }
      if (isUnservedKind(error)) this.#served = false;
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
    const { http, silenceMilliseconds: silence = timing.silenceMilliseconds } = this.#options;
    const now = await versionNow(http, this.#options, this.#stop.signal, Math.min(silence, timing.lookMilliseconds));
    if (!now.ok) return now.error;
    this.#unsure = false;
    this.#served = true;
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
    const listed = await list(http, this.#options, this.#stop.signal, onItems, believed ? undefined : this.#known);
    // Objects of an incomplete list are valid, but nothing is deleted before the list is complete.
    if (!listed.ok) {
      if (listed.error.reason === 'StaleList') {
        // The server answered, so earlier failures do not lengthen the pauses.
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
    const {
      http,
      path,
      fieldSelector,
      random,
      clock,
      silenceMilliseconds = timing.silenceMilliseconds,
    } = this.#options;
    const startedAt = clock.now();
    const watching = new AbortController();
    this.#watching = watching;
    let events = 0;
    const error = await watch(http, {
      path,
      fieldSelector,
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
      // Before and after a restore, one version number may belong to two versions.
      if (outranks !== 'All' && previous.metadata.resourceVersion === object.metadata.resourceVersion) return key;
    } else if (previous !== undefined) {
      this.#delete(key, previous); // deleted and created again under its name while nobody watched
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
