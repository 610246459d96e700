// A cache of one collection that follows the API server: lists once, then watches; lists again only when the server has
// forgotten where we were (410). While the server fails, the cache keeps what it had, and trying goes on for ever.
import { type Clock, delay, type Random } from '../../protocol/clock.ts';
import { type ApiError, connectionError, isGone } from './api-error.ts';
import type { KubeHttp } from './http.ts';
import { objectKey, type Stored } from './objects.ts';
import { list, type Version, watch } from './watch.ts';

export type Change<T> =
  | { readonly type: 'Applied'; readonly key: string; readonly object: T; readonly previous: T | undefined }
  | { readonly type: 'Deleted'; readonly key: string; readonly object: T };

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

/** The numbers of client-go's reflector; the watch ends at the server's hand, at a time that differs between clients. */
const timing = {
  backoffFirstMilliseconds: 800,
  backoffCapMilliseconds: 30_000,
  healthyMilliseconds: 120_000,
  /** A watch that the server ends sooner than this, without an event, is a failure. */
  shortestWatchMilliseconds: 1_000,
  watchSecondsMinimum: 300,
  watchSecondsSpread: 300,
  /** An API server sends a bookmark a minute: a connection on which two are missing may be half open. */
  silenceMilliseconds: 150_000,
} as const;

/** If every list is older, the cluster was restored from a backup. */
const staleListsMaximum = 5;
/** More than writes are on their way at a time. */
const expectedMaximum = 1_000;

export class Reflector<T extends Stored> {
  readonly #options: ReflectorOptions<T>;
  readonly #store = new Map<string, T>();
  readonly #handlers = new Set<(change: Change<T>) => void>();
  /** Versions that writes answered, and of which the watch has not told yet. */
  readonly #expected = new Map<string, T>();
  readonly #stop = new AbortController();
  #resourceVersion: string | undefined;
  /** Up to where everything is known: an older list, from an API server that is behind, is not taken. */
  #known: string | undefined;
  #staleLists = 0;
  #synced = false;
  #failures = 0;
  #run: Promise<void> | undefined;
  #waiting: (() => void)[] = [];

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
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
    const key = objectKey(object.metadata);
    this.#expected.delete(key);
    this.#expected.set(key, object);
    for (const oldest of this.#expected.keys()) {
      if (this.#expected.size <= expectedMaximum) return;
      this.#expected.delete(oldest);
    }
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
      const error = this.#resourceVersion === undefined ? await this.#list() : await this.#watch(this.#resourceVersion);
      if (signal.aborted) return;
      if (error === undefined) {
        this.#failures = 0;
        continue;
      }
      if (this.#options.clock.now() - startedAt > timing.healthyMilliseconds) this.#failures = 0;
      if (isGone(error)) this.#resourceVersion = undefined;
      this.#options.observer.failed(this.#options.path, error);
      await delay(this.#options.clock, this.#backoff(error), signal).catch(() => {});
    }
  }

  async #list(): Promise<ApiError | undefined> {
    const { http, path, observer } = this.#options;
    const present = new Set<string>();
    const onItems = (items: readonly unknown[]) => {
      for (const item of items) {
        const key = this.#apply(item);
        if (key !== undefined) present.add(key);
      }
    };
    const notBefore = this.#staleLists < staleListsMaximum ? this.#known : undefined;
    const listed = await list(http, path, this.#stop.signal, onItems, notBefore);
    // What was listed until then is true all the same; nothing is gone before all are listed.
    if (!listed.ok) {
      if (listed.error.reason === 'StaleList') this.#staleLists += 1;
      return listed.error;
    }
    this.#staleLists = 0;
    for (const [key, object] of this.#store) if (!present.has(key)) this.#delete(key, object);
    this.#progress(listed.value);
    this.#synced = true;
    observer.listed(path, present.size);
    for (const resolve of this.#waiting.splice(0)) resolve();
    return undefined;
  }

  #progress(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#known = resourceVersion;
  }

  async #watch(resourceVersion: string): Promise<ApiError | undefined> {
    const { http, path, random, clock, silenceMilliseconds = timing.silenceMilliseconds } = this.#options;
    const startedAt = clock.now();
    let events = 0;
    const error = await watch(http, {
      path,
      resourceVersion,
      timeoutSeconds: Math.round(timing.watchSecondsMinimum + random() * timing.watchSecondsSpread),
      silenceMilliseconds,
      signal: this.#stop.signal,
      onEvent: (event) => {
        events += 1;
        this.#failures = 0;
        if (event.type === 'Applied') this.#apply(event.object, this.#takeExpected(event));
        if (event.type === 'Deleted') this.#remove(event.object);
        this.#progress(event.resourceVersion);
      },
    });
    const tooShort = events === 0 && clock.now() - startedAt < timing.shortestWatchMilliseconds;
    return error ?? (tooShort ? connectionError('ConnectionFailed', 'the watch ended at once') : undefined);
  }

  #takeExpected({ name, namespace, uid, resourceVersion }: Version): T | undefined {
    const key = objectKey({ name, namespace });
    const expected = this.#expected.get(key);
    if (expected?.metadata.resourceVersion !== resourceVersion || expected.metadata.uid !== uid) return undefined;
    this.#expected.delete(key);
    return expected;
  }

  #apply(raw: unknown, known?: T): string | undefined {
    const object = known ?? this.#parse(raw);
    if (object === undefined) return undefined;
    const key = objectKey(object.metadata);
    const previous = this.#store.get(key);
    if (previous?.metadata.uid === object.metadata.uid) {
      if (previous.metadata.resourceVersion === object.metadata.resourceVersion) return key;
    } else if (previous !== undefined) {
      this.#delete(key, previous); // deleted and created anew under its name while nobody watched
    }
    this.#store.set(key, object);
    this.#tell({
      type: 'Applied',
      key,
      object,
      previous: previous === undefined ? undefined : this.#sameObject(previous, object),
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

  #backoff(error: ApiError): number {
    this.#failures += 1;
    const ceiling = Math.min(
      timing.backoffCapMilliseconds,
      timing.backoffFirstMilliseconds * 2 ** (this.#failures - 1),
    );
    return Math.max(error.retryAfterMilliseconds ?? 0, ceiling / 2 + (this.#options.random() * ceiling) / 2);
  }
}
