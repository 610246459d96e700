// The requests for one list and one watch of a collection. The reflector decides what to do when they end.
import { z } from 'zod';
import { messageOf } from '../../runtime/error-text.ts';
import { type ApiError, apiErrorFromStatus, connectionError, failed, type Outcome, succeeded } from './api-error.ts';
import type { KubeHttp } from './http.ts';

/** Small, so that V8 collects a page before it counts as long-lived. */
const pageSize = 100;

const page = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()),
});

export interface Collection {
  readonly path: string;
  /** Such as `metadata.name=x`. Absent: all objects. */
  readonly fieldSelector?: string | undefined;
  /** Such as `lcow.dev/set=x`. */
  readonly labelSelector?: string | undefined;
}

/**
 * Lists the collection page by page, because all of it at once may be large. Returns the version of the whole. A list
 * that is older than `notBefore` is refused before any of it is reported.
 */
export async function list(
  http: KubeHttp,
  collection: Collection,
  signal: AbortSignal,
  onItems: (items: readonly unknown[], resourceVersion: string) => void,
  notBefore?: string,
): Promise<Outcome<string>> {
  let next = '';
  for (;;) {
    const read = await readPage(http, collection, signal, next);
    if (!read.ok) return read;
    const { metadata, items } = read.value;
    const { resourceVersion } = metadata;
    if (notBefore !== undefined && isOlder(resourceVersion, notBefore)) {
      return failed(connectionError('StaleList', `a list of version ${resourceVersion} came after ${notBefore}`));
    }
    onItems(items, resourceVersion);
    next = metadata.continue ?? '';
    if (next === '') return succeeded(resourceVersion);
  }
}

/** The current version of the collection. */
export async function versionNow(
  http: KubeHttp,
  collection: Collection,
  signal: AbortSignal,
  idleMilliseconds: number,
): Promise<Outcome<string>> {
  const { path } = collection;
  const query = { ...selection(collection), limit: 1 };
  const read = parsePage(path, await http.request({ method: 'GET', path, query, signal, idleMilliseconds }));
  return read.ok ? succeeded(read.value.metadata.resourceVersion) : read;
}

async function readPage(
  http: KubeHttp,
  collection: Collection,
  signal: AbortSignal,
  next: string,
): Promise<Outcome<z.infer<typeof page>>> {
  const { path } = collection;
  const query = { ...selection(collection), limit: pageSize, ...(next !== '' && { continue: next }) };
  return parsePage(path, await http.request({ method: 'GET', path, query, signal }));
}

function selection({ fieldSelector, labelSelector }: Collection): Readonly<Record<string, string>> {
  return {
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

function parsePage(path: string, answer: Outcome<unknown>): Outcome<z.infer<typeof page>> {
  if (!answer.ok) return answer;
  const parsed = page.safeParse(answer.value);
  if (parsed.success) return succeeded(parsed.data);
  return failed(connectionError('MalformedResponse', `${path} did not answer with a list`));
}

/** Versions of one collection are comparable as numbers (promised since Kubernetes 1.35, and always true for etcd). */
export function isOlder(a: string, b: string): boolean {
  return a.length === b.length ? a < b : a.length < b.length;
}

/** Identifies an object and its version. */
export interface Version {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid: string;
  readonly resourceVersion: string;
}

export type WatchEvent =
  | ({ readonly type: 'Applied' | 'Deleted'; readonly object: unknown } & Version)
  | { readonly type: 'Bookmark'; readonly resourceVersion: string };

export interface WatchRequest extends Collection {
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
  /** Fails when nothing arrives for this long, not even a bookmark. */
  readonly silenceMilliseconds: number;
  readonly signal: AbortSignal;
  readonly onEvent: (event: WatchEvent) => void;
}

/** Watches until the server ends the watch (undefined) or it fails. Events before the failure have been reported. */
export async function watch(http: KubeHttp, request: WatchRequest): Promise<ApiError | undefined> {
  const { path, resourceVersion, timeoutSeconds, silenceMilliseconds, signal, onEvent } = request;
  const opened = await http.lines({
    method: 'GET',
    path,
    query: { ...selection(request), watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds },
    signal,
    idleMilliseconds: silenceMilliseconds,
  });
  if (!opened.ok) return opened.error;
  try {
    for await (const text of opened.value) {
      const event = parseLine(text);
      if ('error' in event) return event.error;
      onEvent(event);
    }
    return undefined;
  } catch (error) {
    return connectionError(signal.aborted ? 'Aborted' : 'ConnectionFailed', messageOf(error));
  }
}

function parseLine(text: string): WatchEvent | { readonly error: ApiError } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { error: connectionError('MalformedResponse', 'a watch event is not JSON') };
  }
  if (!isRecord(json)) return { error: connectionError('MalformedResponse', 'a watch event has an unknown form') };
  const { type, object } = json;
  if (type === 'ERROR') return { error: apiErrorFromStatus(0, object) };
  const version = versionOf(object);
  if (version === undefined) return { error: connectionError('MalformedResponse', 'a watch event has no version') };
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'Applied', object, ...version };
    case 'DELETED':
      return { type: 'Deleted', object, ...version };
    case 'BOOKMARK':
      return { type: 'Bookmark', resourceVersion: version.resourceVersion };
    default:
      return { error: connectionError('MalformedResponse', 'a watch event has an unknown form') };
  }
}

/**
 * Checked by hand for speed, because every change of every object passes here. The schema of its kind parses the object
 * itself.
 */
function versionOf(object: unknown): Version | undefined {
  const metadata = isRecord(object) ? object['metadata'] : undefined;
  if (!isRecord(metadata)) return undefined;
  const { name, namespace, uid, resourceVersion } = metadata;
  if (typeof resourceVersion !== 'string') return undefined;
  return {
    name: typeof name === 'string' ? name : '',
    namespace: typeof namespace === 'string' ? namespace : undefined,
    uid: typeof uid === 'string' ? uid : '',
    resourceVersion,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
