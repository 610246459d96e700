// Reads one JSON object to the letter of the guest's own decoder, where `JSON.parse` hides what that decoder sees
// (hcs-runtime D.4): members in the order in which they are written, with repetitions; lone surrogates as U+FFFD; a number
// beyond the range of floats, also in a member that a later one replaces. It keeps its own stack, so that nesting costs
// no recursion, and it never gives an object to `JSON.parse`: V8 takes a name that is written with escapes for another
// one that it met earlier in the process (`\` for ` `).

import { ownText } from './own-text.ts';

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** `isEscaped`: the value is a text that is written with escapes. */
export type Member = readonly [name: string, value: JsonValue, isEscaped?: boolean];
export type Members = readonly Member[];

/** Told of a well-formed number that no float can hold. */
export type OnOutOfRange = (number: string) => void;

const quote = 0x22;
const backslash = 0x5c;

type Container =
  | { readonly kind: 'list'; readonly items: JsonValue[] }
  | { readonly kind: 'object'; readonly members: Member[]; name: string | undefined };

/** `text` is one object and known to be JSON. Commas and colons need not be seen: names and values take turns. */
export function readMembers(text: string, onOutOfRange: OnOutOfRange = () => undefined): Members {
  const open: Container[] = [];
  for (const token of tokens(text)) {
    const opened = openedBy(token);
    const inner = open.at(-1);
    if (opened !== undefined) open.push(opened);
    else if (inner !== undefined && !isEnd(token)) addScalar(inner, token, onOutOfRange);
    else if (inner !== undefined && open.length > 1) close(open, inner);
    else return heldBy(inner);
  }
  return [];
}

function heldBy(container: Container | undefined): Members {
  return container?.kind === 'object' ? container.members : [];
}

function openedBy(token: string): Container | undefined {
  if (token === '{') return { kind: 'object', members: [], name: undefined };
  return token === '[' ? { kind: 'list', items: [] } : undefined;
}

function isEnd(token: string): boolean {
  return token === '}' || token === ']';
}

function close(open: Container[], inner: Container): void {
  open.pop();
  const outer = open.at(-1);
  if (outer !== undefined) place(outer, contentOf(inner), false);
}

function addScalar(container: Container, token: string, onOutOfRange: OnOutOfRange): void {
  if (container.kind === 'object' && container.name === undefined) container.name = readText(token);
  else place(container, readScalar(token, onOutOfRange), token.includes('\\'));
}

function place(container: Container, value: JsonValue, isEscaped: boolean): void {
  if (container.kind === 'list') {
    container.items.push(value);
  } else {
    container.members.push([container.name ?? '', value, isEscaped]);
    container.name = undefined;
  }
}

function contentOf(container: Container): JsonValue {
  if (container.kind === 'list') return container.items;
  // Unlike an assignment this also makes a plain member of the name `__proto__`.
  return Object.fromEntries(container.members.map(([name, value]) => [name, value]));
}

function readScalar(token: string, onOutOfRange: OnOutOfRange): JsonValue {
  if (token.charCodeAt(0) === quote) return readText(token);
  if (token === 'true') return true;
  if (token === 'false') return false;
  if (token === 'null') return null;
  const number = Number(token);
  if (!Number.isFinite(number)) onOutOfRange(token);
  return number;
}

function readText(token: string): string {
  return token.includes('\\') ? String(JSON.parse(token)).toWellFormed() : token.slice(1, -1);
}

/** Texts with their quotes, other scalars, and brackets. */
function* tokens(text: string): Generator<string> {
  const skipped = /[\s,:]*/y;
  const scalar = /[^\s,:"{}[\]]+/y;
  for (let index = endOf(skipped, text, 0); index < text.length; index = endOf(skipped, text, index)) {
    const start = index;
    if (text.charCodeAt(start) === quote) index = endOfText(text, start + 1);
    else index = Math.max(endOf(scalar, text, start), start + 1);
    yield ownText(text.slice(start, index), text);
  }
}

function endOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : start;
}

/** The place behind the quote that ends the text in which `index` is. */
function endOfText(text: string, index: number): number {
  let end = index;
  while (end < text.length && text.charCodeAt(end) !== quote) end += text.charCodeAt(end) === backslash ? 2 : 1;
  return end + 1;
}
