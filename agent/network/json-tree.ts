// JSON with what a decoder of Go sees and `JSON.parse` hides: repeated members, and numbers as they are spelled.
import { isQuoted, jsonTokens, textOfToken } from '../../runtime/json-tokens.ts';

export type JsonTree =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'number'; readonly source: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly JsonTree[] }
  | { readonly kind: 'object'; readonly members: readonly JsonMember[] };

export type JsonMember = readonly [name: string, value: JsonTree];

type Open =
  | { readonly kind: 'list'; readonly items: JsonTree[] }
  | { readonly kind: 'object'; readonly members: JsonMember[]; name: string | undefined };

/** The depth at which the original's decoder gives up. */
const nestingLimit = 10_000;

/** Throws a SyntaxError for what is not one JSON value. Lone surrogates become U+FFFD. */
export function parseJsonTree(given: string): JsonTree {
  const text = given.toWellFormed();
  // Only for the error: what it returns is not used.
  JSON.parse(text);
  const open: Open[] = [];
  for (const token of jsonTokens(text)) {
    const value = valueAt(token, open);
    if (value === undefined) continue;
    const outer = open.at(-1);
    if (outer === undefined) return value;
    place(outer, value);
  }
  throw new SyntaxError('the text ends within a value');
}

/** The value that a token ends; undefined if it opens a container or names a member. */
function valueAt(token: string, open: Open[]): JsonTree | undefined {
  if (token === '{' || token === '[') {
    if (open.length === nestingLimit) throw new SyntaxError(`more than ${nestingLimit} levels`);
    open.push(token === '[' ? { kind: 'list', items: [] } : { kind: 'object', members: [], name: undefined });
    return undefined;
  }
  if (token === '}' || token === ']') return open.pop();
  const inner = open.at(-1);
  if (inner?.kind !== 'object' || inner.name !== undefined) return scalarOf(token);
  inner.name = textOfToken(token);
  return undefined;
}

function place(outer: Open, value: JsonTree): void {
  if (outer.kind === 'list') {
    outer.items.push(value);
  } else {
    outer.members.push([outer.name ?? '', value]);
    outer.name = undefined;
  }
}

function scalarOf(token: string): JsonTree {
  if (isQuoted(token)) return { kind: 'text', text: textOfToken(token) };
  if (token === 'null') return { kind: 'null' };
  if (token === 'true' || token === 'false') return { kind: 'boolean', value: token === 'true' };
  return { kind: 'number', source: token };
}
