// Typed reads and writes of one kind (design §4, write rules). Each write names the version from which it was computed.
// A conflict is an answer, after which the caller computes again.
import { connectionError, failed, type Outcome, succeeded } from './api-error.ts';
import type { KubeHttp } from './http.ts';
import type { Stored } from './objects.ts';

export interface ResourceKind<T> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** `unchanged`: the parts that the preceding write did not touch. `sent`: the status that it wrote. */
  readonly parse: (raw: unknown, unchanged?: Partial<T>, sent?: StatusOf<T>) => T | undefined;
}

type StatusOf<T> = T extends { readonly status: infer Status } ? Status : never;

export interface ObjectName {
  readonly name: string;
  readonly namespace?: string | undefined;
}

interface MergePatch {
  readonly metadata?: object;
  readonly [member: string]: unknown;
}

export class ResourceClient<T extends Stored> {
  readonly #http: Pick<KubeHttp, 'request'>;
  readonly #kind: ResourceKind<T>;

  constructor(http: Pick<KubeHttp, 'request'>, kind: ResourceKind<T>) {
    this.#http = http;
    this.#kind = kind;
  }

  /** A live read: the current object of the API server. */
  async get(object: ObjectName): Promise<Outcome<T>> {
    return this.#parse(await this.#http.request({ method: 'GET', path: this.#path(object) }));
  }

  async create(object: ObjectName, body: object): Promise<Outcome<T>> {
    const { apiVersion, kind } = this.#kind;
    return this.#parse(
      await this.#http.request({
        method: 'POST',
        path: collectionPath(this.#kind, object.namespace),
        query: { fieldManager: 'lcow-operator' },
        body: { apiVersion, kind, ...body },
      }),
    );
  }

  /**
   * Server-side apply: makes the object have what `body` names, and leaves the rest to its other managers. `metadata`
   * must have a resourceVersion; `absent` lets the write succeed only if there is no such object.
   */
  async apply(object: ObjectName, fieldManager: string, body: { readonly metadata: object }): Promise<Outcome<T>> {
    const { apiVersion, kind } = this.#kind;
    return this.#parse(
      await this.#http.request({
        method: 'PATCH',
        path: this.#path(object),
        query: { fieldManager, force: true },
        contentType: 'application/apply-patch+yaml',
        body: { apiVersion, kind, ...body },
      }),
    );
  }

  /**
   * Only for the version of the object that was read, because a merge patch replaces whole lists. Parts that are known to
   * be `unchanged` are not parsed again.
   */
  async mergePatch(object: Stored, change: MergePatch, unchanged?: Partial<T>): Promise<Outcome<T>> {
    const { uid, resourceVersion } = object.metadata;
    return this.#parse(
      await this.#http.request({
        method: 'PATCH',
        path: this.#path(object.metadata),
        query: { fieldManager: 'lcow-operator' },
        contentType: 'application/merge-patch+json',
        body: { ...change, metadata: { ...change.metadata, uid, resourceVersion } },
      }),
      unchanged,
    );
  }

  /** Deletes exactly this version. Undefined if nothing is left of it, else the object, which waits for finalizers. */
  async delete({ metadata }: Stored): Promise<Outcome<T | undefined>> {
    const { uid, resourceVersion } = metadata;
    const answer = await this.#http.request({
      method: 'DELETE',
      path: this.#path(metadata),
      body: { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid, resourceVersion } },
    });
    return answer.ok ? succeeded(this.#kind.parse(answer.value)) : answer;
  }

  /** Replaces the status of exactly this object in exactly this version, never of a later one. */
  async replaceStatus(object: T, status: StatusOf<T>): Promise<Outcome<T>> {
    const { apiVersion, kind } = this.#kind;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    return this.#parse(
      await this.#http.request({
        method: 'PUT',
        path: `${this.#path(object.metadata)}/status`,
        query: { fieldManager: 'lcow-operator' },
        body: { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, status },
      }),
      { ...object, status: undefined },
      status,
    );
  }

  patchFinalizers(object: T, finalizers: readonly string[]): Promise<Outcome<T>> {
    return this.mergePatch(object, { metadata: { finalizers } }, object);
  }

  #path(object: ObjectName): string {
    return `${collectionPath(this.#kind, object.namespace)}/${encodeURIComponent(object.name)}`;
  }

  #parse(outcome: Outcome<unknown>, unchanged?: Partial<T>, sent?: StatusOf<T>): Outcome<T> {
    if (!outcome.ok) return outcome;
    const object = this.#kind.parse(outcome.value, unchanged, sent);
    if (object !== undefined) return succeeded(object);
    return failed(connectionError('MalformedResponse', `the answer is not a ${this.#kind.kind}`));
  }
}

/** A version that no object has: a write that names it is refused if there is an object. */
export const absent = '1';

/** The path of one namespace, or of all. */
export function collectionPath(
  { apiVersion, plural }: Pick<ResourceKind<unknown>, 'apiVersion' | 'plural'>,
  namespace?: string,
): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${plural}`;
}
