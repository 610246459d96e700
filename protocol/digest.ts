// Digests that both sides compare: SHA-256 over the canonical form of a value (sorted keys, no white space), in
// lower-case hex. Values that differ only in the order of their members have the same digest.
import { createHash } from 'node:crypto';
import type { RequestedOptions } from './options.ts';

/** An integer beyond 2^53, kept as its decimal digits. */
export class ExactInteger {
  readonly digits: string;

  constructor(digits: string) {
    this.digits = digits;
  }
}

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | ExactInteger
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/** JSON text with object keys sorted by code unit. Undefined members are left out. */
export function canonicalJson(value: JsonValue): string {
  if (value instanceof ExactInteger) return value.digits;
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value)
      .filter((member): member is [string, JsonValue] => member[1] !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/**
 * The digest that stands for a set of options on the wire, in the journal and in the status. It covers the text of the
 * policy.
 */
export function optionsDigest(options: RequestedOptions): string {
  return sha256Hex(canonicalJson(options));
}

/** The digest of a document given as JSON text. Integers beyond 2^53 are kept exact. */
export function documentDigest(text: string): string {
  const exact = (_key: string, value: JsonValue, context?: { readonly source?: string }) =>
    typeof value === 'number' &&
    Number.isInteger(value) &&
    !Number.isSafeInteger(value) &&
    context?.source !== undefined
      ? new ExactInteger(context.source)
      : value;
  return sha256Hex(canonicalJson(JSON.parse(text, exact)));
}
