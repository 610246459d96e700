// Removes secrets from the records of a guest's log, if the VM's spec asks for it. The guest scrubs its own log
// (`-scrub-logs`, hcs-runtime F.4). This scrubber catches what the guest misses: environments, credentials, keys. Names
// decide, not values, except for the few value shapes that are always secret.
import type { JsonValue } from './json-members.ts';
import type { GuestLogRecord } from './record.ts';

export const scrubbed = '<scrubbed>';

const secretWord =
  'pass(?:word|wd|phrase)|secret|token|credential|authorization|api[-_]?key|private[-_]?key|access[-_]?key';
const secretName = new RegExp(`(?:${secretWord})`, 'i');
/** An environment may contain anything, so all of it is removed. */
const environmentName = /^(?:env|environment)$/i;

/** Matches `PASSWORD=x`, `"token":"x"`, `--secret x`. */
const assignment = new RegExp(`((?:${secretWord})[\\w-]{0,32}"?\\s{0,4}[=:]\\s{0,4})("[^"]*"|[^\\s,;&"}]+)`, 'gi');
const bearer = /\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/g;
const keyBlock = /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g;

/** Members that this host adds to a record. */
const own: ReadonlySet<string> = new Set(['uvm-id', 'vm.time']);
/** Values nested deeper are replaced whole. */
const maxDepth = 32;

export function scrubRecord({ fields, message, ...rest }: GuestLogRecord): GuestLogRecord {
  const clean = Object.entries(fields).map(([name, value]) => [name, own.has(name) ? value : scrub(name, value, 0)]);
  return { ...rest, message: scrubText(message), fields: Object.fromEntries(clean) };
}

function scrub(name: string, value: JsonValue, depth: number): JsonValue {
  if (secretName.test(name) || environmentName.test(name)) return scrubbed;
  if (typeof value === 'string') return scrubText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return scrubbed;
  if (isList(value)) return value.map((each) => scrub('', each, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([inner, each]) => [inner, scrub(inner, each, depth + 1)]));
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function scrubText(text: string): string {
  if (!secretName.test(text) && !text.includes('PRIVATE KEY') && !text.includes('Bearer') && !text.includes('Basic'))
    return text;
  return text.replace(keyBlock, scrubbed).replace(bearer, `$1 ${scrubbed}`).replace(assignment, `$1${scrubbed}`);
}
