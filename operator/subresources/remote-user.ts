// The user on whose behalf the API server asks, as its front proxy names him in headers. Only headers of a request with
// the front proxy's certificate are trusted (front-proxy.ts). One header holds one value: Node joins repeated headers
// with a comma, which a group may contain, so the raw headers are read.

/** Names of headers, from the ConfigMap that the API server publishes. */
export interface RemoteUserHeaders {
  readonly username: readonly string[];
  readonly uid: readonly string[];
  readonly group: readonly string[];
  readonly extraPrefix: readonly string[];
}

export interface RemoteUser {
  readonly username: string;
  readonly uid: string | undefined;
  readonly groups: readonly string[];
  /** Sorted by key: the API server sends them in any order. */
  readonly extra: readonly (readonly [key: string, values: readonly string[]])[];
}

export type RemoteUserRead =
  | { readonly ok: true; readonly user: RemoteUser }
  | { readonly ok: false; readonly message: string };

/** @param rawHeaders alternating names and values, as in Node */
export function readRemoteUser(rawHeaders: readonly string[], names: RemoteUserHeaders): RemoteUserRead {
  const found: Found = { usernames: [], uids: [], groups: [], extra: new Map() };
  const sorted = headerSorter(names);
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const kind = sorted(name);
    if (kind === undefined) continue;
    const value = utf8Of(rawHeaders[index + 1] ?? '');
    if (value === undefined) return refused('a header that names the user is not UTF-8');
    note(found, kind, value);
  }
  const [username, ...otherNames] = found.usernames;
  const [uid, ...otherUids] = found.uids;
  if (username === undefined) return refused('the front proxy names no user');
  if (otherNames.length > 0 || otherUids.length > 0) return refused('the front proxy names two users');
  const extra = [...found.extra].sort(([one], [other]) => (one < other ? -1 : 1));
  return { ok: true, user: { username, uid, groups: found.groups, extra } };
}

type Kind = 'username' | 'uid' | 'group' | { readonly extra: string };

interface Found {
  readonly usernames: string[];
  readonly uids: string[];
  readonly groups: string[];
  readonly extra: Map<string, string[]>;
}

/** Returns what a header, by its lower-case name, says about the user. */
function headerSorter(names: RemoteUserHeaders): (name: string) => Kind | undefined {
  const whole = new Map<string, Kind>();
  for (const kind of ['group', 'uid', 'username'] as const) {
    for (const name of names[kind]) whole.set(name.toLowerCase(), kind);
  }
  const prefixes = names.extraPrefix.map((prefix) => prefix.toLowerCase()).filter((prefix) => prefix !== '');
  return (name) => {
    const kind = whole.get(name);
    if (kind !== undefined) return kind;
    const prefix = prefixes.find((each) => name.startsWith(each));
    return prefix === undefined ? undefined : { extra: extraKeyOf(name.slice(prefix.length)) };
  };
}

/** Percent-decoded. As in the API server's own library, a key that cannot be decoded is used unchanged. */
function extraKeyOf(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    return escaped;
  }
}

function note(found: Found, kind: Kind, value: string): void {
  if (kind === 'group') found.groups.push(value);
  else if (typeof kind === 'object') noteExtra(found, kind.extra, value);
  // An empty value names nobody.
  else if (value !== '') (kind === 'username' ? found.usernames : found.uids).push(value);
}

function noteExtra({ extra }: Found, key: string, value: string): void {
  const values = extra.get(key);
  if (values === undefined) extra.set(key, [value]);
  else values.push(value);
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Node reads a header as Latin-1, but the API server writes UTF-8. Undefined when the value is not UTF-8: two users
 * must not look alike.
 */
function utf8Of(latin1: string): string | undefined {
  try {
    return decoder.decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return undefined;
  }
}

const refused = (message: string): RemoteUserRead => ({ ok: false, message });
