// Follows a collection of objects: lists it page by page, then watches it, and keeps a short row of each object. When it
// may not be watched, it is listed again from time to time.
import { z } from 'zod';
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { linesOfBody } from '../../runtime/lines-of-body.ts';
import { type Api, ApiFailure } from '../api.ts';
import { pagesOf } from '../machines.ts';

/** What is known about the rows: nothing yet, all, or no longer all, with the reason. */
export type Knowledge =
  | { readonly kind: 'Loading' }
  | { readonly kind: 'Current' }
  | { readonly kind: 'Stale'; readonly why: string };

export interface CollectionOptions<Row> {
  readonly api: Api;
  readonly path: string;
  readonly selector: string | undefined;
  readonly rowOf: (object: unknown) => Row;
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly random: Random;
}

const named = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string().default(''), resourceVersion: z.string() }),
});
const event = z.looseObject({ type: z.string(), object: z.unknown() });
const failure = z.looseObject({ code: z.number().default(0), message: z.string().default('the watch failed') });

const watchSeconds = 300;
/** A server that sends nothing for so long is dead: it sends bookmarks every minute. */
const silenceMilliseconds = 120_000;
const pauses = { first: 500, last: 15_000, withoutWatch: 10_000 } as const;
/** Characters. An object of etcd has at most a few MiB. */
const longestLine = 16 << 20;
/** A server that ends watches sooner is not asked again at once. */
const shortestWatch = 1_000;
const gone = 410;
const forbidden = 403;

export class Collection<Row> {
  readonly #options: CollectionOptions<Row>;
  #rows = new Map<string, Row>();
  /** Where the watch goes on; undefined: the collection has to be listed. */
  #version: string | undefined;
  #knowledge: Knowledge = { kind: 'Loading' };

  constructor(options: CollectionOptions<Row>) {
    this.#options = options;
  }

  /** By `namespace/name`. */
  get rows(): ReadonlyMap<string, Row> {
    return this.#rows;
  }

  get knowledge(): Knowledge {
    return this.#knowledge;
  }

  /** Resolves when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const [before, begun] = [this.#version, clock.now()];
      const problem = await this.#follow(signal).catch((error: unknown) => error);
      if (signal.aborted) return;
      // A watch that was open for a while is no failure.
      failures = problem === undefined || before !== this.#version ? 0 : failures + 1;
      if (problem === undefined && clock.now() - begun >= shortestWatch) continue;
      const pause = problem === undefined ? pauses.first : this.#pauseAfter(problem, failures);
      await delay(clock, pause * (0.5 + random() / 2), signal).catch(() => undefined);
    }
  }

  /** Until the server ends the watch. */
  async #follow(signal: AbortSignal): Promise<undefined> {
    this.#version ??= await this.#list(signal);
    this.#know({ kind: 'Current' });
    await this.#watch(this.#version, signal);
    return undefined;
  }

  #pauseAfter(problem: unknown, failures: number): number {
    const code = problem instanceof ApiFailure ? problem.code : 0;
    const isUnwatchable = code === forbidden && this.#version !== undefined;
    // The watch goes on where it was, unless the server no longer knows that place.
    if (isUnwatchable || code === gone) this.#version = undefined;
    else this.#know({ kind: 'Stale', why: messageOf(problem) });
    return isUnwatchable ? pauses.withoutWatch : Math.min(pauses.last, pauses.first * 2 ** Math.min(failures, 10));
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { api, path, rowOf, selector } = this.#options;
    const rows = new Map<string, Row>();
    let version = '';
    for await (const { items, metadata } of pagesOf(api, path, { selector, signal })) {
      for (const item of items) rows.set(keyOf(named.parse(item)), rowOf(item));
      version = metadata.resourceVersion;
    }
    this.#rows = rows;
    return version;
  }

  async #watch(from: string, signal: AbortSignal): Promise<void> {
    const { api, path, selector } = this.#options;
    const query = new URLSearchParams({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: from,
      timeoutSeconds: String(watchSeconds),
      ...(selector !== undefined && { labelSelector: selector }),
    });
    const answer = await api.open({ path, query, signal });
    answer.setTimeout(silenceMilliseconds, () => answer.destroy(new Error('the API server is silent')));
    try {
      for await (const line of linesOfBody(answer, longestLine)) this.#take(line);
    } finally {
      answer.destroy();
    }
  }

  #take(line: string): void {
    const { object, type } = event.parse(JSON.parse(line));
    if (type === 'ERROR') {
      const { code, message } = failure.parse(object);
      throw new ApiFailure(code, message);
    }
    this.#version = versioned.parse(object).metadata.resourceVersion;
    if (type === 'BOOKMARK') return;
    const key = keyOf(named.parse(object));
    if (type === 'DELETED') this.#rows.delete(key);
    else this.#rows.set(key, this.#options.rowOf(object));
    this.#options.onChange();
  }

  #know(knowledge: Knowledge): void {
    this.#knowledge = knowledge;
    this.#options.onChange();
  }
}

const versioned = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) });

function keyOf({ metadata: { name, namespace } }: z.infer<typeof named>): string {
  return `${namespace}/${name}`;
}
