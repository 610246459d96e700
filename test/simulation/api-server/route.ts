// What a request is about, from its method and path.
import type { Message } from '../../../operator/kubernetes/transport.ts';
import { type ServedKind, servedKinds } from './kinds.ts';
import { Refusal } from './refusal.ts';

export type Route =
  | { readonly about: 'Collection'; readonly kind: ServedKind; readonly namespace: string | undefined }
  | { readonly about: 'Object'; readonly kind: ServedKind; readonly key: string; readonly part: 'Main' | 'Status' }
  | { readonly about: 'TokenReview' | 'SubjectAccessReview' | 'KeySet' };

export interface Routed {
  readonly route: Route;
  readonly query: URLSearchParams;
}

const exceptions: ReadonlyMap<string, Route> = new Map([
  ['/apis/authentication.k8s.io/v1/tokenreviews', { about: 'TokenReview' }],
  ['/apis/authorization.k8s.io/v1/subjectaccessreviews', { about: 'SubjectAccessReview' }],
  ['/openid/v1/jwks', { about: 'KeySet' }],
]);

const kinds: ReadonlyMap<string, ServedKind> = new Map(
  servedKinds.map((kind) => [`${kind.apiVersion}/${kind.plural}`, kind]),
);

const objectPath =
  /^\/apis?\/(?<apiVersion>v1|[^/]+\/v[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[a-z]+)(?:\/(?<name>[^/]+))?(?:\/(?<part>status))?$/;

export function routeOf({ path }: Pick<Message, 'path'>): Routed {
  const mark = path.indexOf('?');
  const query = new URLSearchParams(mark === -1 ? '' : path.slice(mark + 1));
  return { route: byPath(mark === -1 ? path : path.slice(0, mark)), query };
}

function byPath(path: string): Route {
  const exception = exceptions.get(path);
  if (exception !== undefined) return exception;
  const { apiVersion, namespace, plural, name, part } = objectPath.exec(path)?.groups ?? {};
  const kind = kinds.get(`${apiVersion}/${plural}`);
  if (kind === undefined) throw new Refusal('NotFound', 'the server could not find the requested resource');
  const scope = namespace === undefined ? undefined : decodeURIComponent(namespace);
  if (name === undefined) return { about: 'Collection', kind, namespace: scope };
  const prefix = scope === undefined ? '' : `${scope}/`;
  return {
    about: 'Object',
    kind,
    key: `${prefix}${decodeURIComponent(name)}`,
    part: part === undefined ? 'Main' : 'Status',
  };
}
