// Answers requests as an API server does, from the store.
import { z } from 'zod';
import type { Answer, Message } from '../../../operator/kubernetes/transport.ts';
import type { Faults } from './faults.ts';
import type { ServedKind } from './kinds.ts';
import { parseSent, type SentObject, type Version } from './objects.ts';
import { Refusal } from './refusal.ts';
import type { Routed } from './route.ts';
import { type Selection, selectionOf } from './selection.ts';
import type { Preconditions, Store } from './store.ts';

/** The user that a token belongs to, as in the status of a TokenReview. */
export interface TokenUser {
  readonly username: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface Reviews {
  /** Whose token this is, if it is valid for one of these audiences now. */
  readonly reviewToken: (token: string, audiences: readonly string[]) => TokenUser | undefined;
  /** Whether the `spec` of a SubjectAccessReview is allowed. */
  readonly reviewAccess: (spec: unknown) => boolean;
  /** The issuer's keys, as a JWK set. */
  readonly keySet: () => object;
}

export interface AnswersOptions {
  readonly store: Store;
  readonly faults: Faults;
  readonly reviews: Reviews;
  readonly elapsed: () => number;
}

/** How far behind the cache of a server can be. */
const staleMilliseconds = 8_000;
const smallPage = 3;

const tokenReview = z.looseObject({
  spec: z.object({ token: z.string(), audiences: z.array(z.string()).default([]) }),
});
const accessReview = z.looseObject({ spec: z.unknown() });
const deleteOptions = z.object({
  preconditions: z.object({ uid: z.string().optional(), resourceVersion: z.string().optional() }).prefault({}),
});
const continuation = z.object({ revision: z.number(), after: z.string() });

export class Answers {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** Refusals are answers, too. */
  to(request: Message, routed: Routed, process: string): Answer {
    try {
      return this.#answer(request, routed, process);
    } catch (error) {
      if (error instanceof Refusal) return refusalAnswer(error);
      throw error;
    }
  }

  #answer(request: Message, { route, query }: Routed, process: string): Answer {
    switch (route.about) {
      case 'Collection':
        return request.method === 'GET'
          ? json(200, this.#list(route.kind, route.namespace, query, process))
          : this.#create(request, route.kind, route.namespace, process);
      case 'Object':
        return isApply(request)
          ? this.#apply(request, route.kind, route.key, query, process)
          : this.#object(request, route.kind, route.key, route.part, process);
      case 'TokenReview':
        return json(201, JSON.stringify(this.#reviewToken(request)));
      case 'SubjectAccessReview':
        return json(201, JSON.stringify(this.#reviewAccess(request)));
      default:
        return json(200, JSON.stringify(this.#options.reviews.keySet()));
    }
  }

  #object(request: Message, kind: ServedKind, key: string, part: 'Main' | 'Status', process: string): Answer {
    const { store } = this.#options;
    switch (request.method) {
      case 'GET':
        return json(200, store.get(kind, key).text);
      case 'PUT':
        return json(200, store.update(kind, key, { replacement: sentIn(request) }, part, process).text);
      case 'PATCH':
        return json(200, store.update(kind, key, { patch: bodyOf(request) }, part, process).text);
      case 'DELETE':
        return json(200, store.remove(kind, key, preconditionsIn(request), process).text);
      default:
        throw new Refusal('MethodNotAllowed', 'the server does not allow this method on the requested resource');
    }
  }

  #apply(request: Message, kind: ServedKind, key: string, query: URLSearchParams, process: string): Answer {
    const manager = query.get('fieldManager');
    if (manager === null) throw new Refusal('BadRequest', 'fieldManager is required for apply patch');
    return json(200, this.#options.store.apply(kind, key, sentIn(request), manager, process).text);
  }

  #create(request: Message, kind: ServedKind, namespace: string | undefined, process: string): Answer {
    if (request.method !== 'POST') throw new Refusal('MethodNotAllowed', 'a collection can be read and added to');
    const sent = sentIn(request);
    const given = sent.metadata.namespace ?? namespace;
    if (given !== namespace || (namespace !== undefined) !== kind.isNamespaced) {
      throw new Refusal('BadRequest', 'the namespace of the provided object does not match the request');
    }
    const object = { ...sent, metadata: { ...sent.metadata, namespace } };
    return json(201, this.#options.store.create(kind, object, process).text);
  }

  #list(kind: ServedKind, namespace: string | undefined, query: URLSearchParams, process: string): string {
    const token = query.get('continue');
    const isBySelector = query.has('labelSelector');
    const { revision, after } =
      token === null ? this.#start(kind, process, isBySelector) : this.#continuation(token, process);
    const objects = this.#options.store.collection(kind.kind).at(revision);
    if (objects === undefined) throw new Refusal('Expired', 'The provided continue parameter is too old');
    const all = sorted(objects, selectionOf(namespace, query), after);
    const page = all.slice(0, this.#pageSize(query, process));
    const last = page.at(-1);
    const isMore = page.length < all.length && last !== undefined;
    const rest = isMore ? { remainingItemCount: all.length - page.length } : {};
    const next = isMore ? encoded(revision, last[0]) : '';
    const metadata = JSON.stringify({ resourceVersion: String(revision), continue: next, ...rest });
    const items = page.map(([, { text }]) => text).join(',');
    return `{"kind":"${kind.kind}List","apiVersion":"${kind.apiVersion}","metadata":${metadata},"items":[${items}]}`;
  }

  /** The API promises that a list without a version is current. Some servers break this with lists of a whole collection. */
  #start(kind: ServedKind, process: string, isBySelector: boolean): z.infer<typeof continuation> {
    const { store, faults, elapsed } = this.#options;
    if (isBySelector || !faults.happens('stale list', process)) return { revision: store.revision, after: '' };
    const age = staleMilliseconds * faults.chanceOf('stale list', process).number();
    const revision = store.collection(kind.kind).revisionAt(elapsed() - age);
    if (revision !== undefined) faults.count('stale list');
    return { revision: revision ?? store.revision, after: '' };
  }

  #continuation(token: string, process: string): z.infer<typeof continuation> {
    const { faults } = this.#options;
    if (faults.happens('expired list', process)) {
      faults.count('expired list');
      throw new Refusal('Expired', 'The provided continue parameter is too old');
    }
    return continuation.parse(JSON.parse(Buffer.from(token, 'base64url').toString()));
  }

  /** A server may send less than it is asked for. */
  #pageSize(query: URLSearchParams, process: string): number {
    const { faults } = this.#options;
    const limit = Number(query.get('limit') ?? Number.POSITIVE_INFINITY);
    if (limit <= smallPage || !faults.happens('small pages', process)) return limit;
    faults.count('small pages');
    return smallPage;
  }

  #reviewToken(request: Message): object {
    const { spec, ...review } = parsed(tokenReview, request);
    const user = this.#options.reviews.reviewToken(spec.token, spec.audiences);
    const status =
      user === undefined
        ? { user: {}, error: 'the token is not valid' }
        : { authenticated: true, user, audiences: spec.audiences };
    return { ...review, spec, status };
  }

  #reviewAccess(request: Message): object {
    const review = parsed(accessReview, request);
    return { ...review, status: { allowed: this.#options.reviews.reviewAccess(review.spec) } };
  }
}

export function refusalAnswer({ code, status }: Refusal, retryAfter?: number): Answer {
  return { status: code, retryAfter: retryAfter?.toString(), text: JSON.stringify(status) };
}

function json(status: number, text: string): Answer {
  return { status, retryAfter: undefined, text };
}

/** In the order of etcd's keys. */
function sorted(objects: ReadonlyMap<string, Version>, isMeant: Selection, after: string): [string, Version][] {
  return [...objects]
    .filter(([key, { object }]) => key > after && isMeant(object))
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

function encoded(revision: number, after: string): string {
  return Buffer.from(JSON.stringify({ revision, after })).toString('base64url');
}

function isApply({ headers, method }: Message): boolean {
  return method === 'PATCH' && headers['content-type'] === 'application/apply-patch+yaml';
}

function bodyOf({ body }: Message): unknown {
  try {
    return JSON.parse(body ?? '');
  } catch {
    throw new Refusal('BadRequest', 'the body is not JSON');
  }
}

function parsed<T>(schema: z.ZodType<T>, request: Message): T {
  const result = schema.safeParse(bodyOf(request));
  if (!result.success) throw new Refusal('BadRequest', result.error.message);
  return result.data;
}

function sentIn(request: Message): SentObject {
  const sent = parseSent(bodyOf(request));
  if (sent === undefined) throw new Refusal('BadRequest', 'the body is not an object');
  return sent;
}

function preconditionsIn(request: Message): Preconditions {
  return request.body === null ? {} : parsed(deleteOptions, request).preconditions;
}
