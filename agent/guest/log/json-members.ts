// Reads one JSON object exactly as the guest's own decoder does. `JSON.parse` hides what that decoder sees (hcs-runtime
// D.4): members in written order, including repeated ones; lone surrogates as U+FFFD; a number beyond the range of
// floats, even in a member that a later one replaces. The reader keeps its own stack, so that nesting costs no
// recursion.

import { isQuoted, jsonTokens, textOfToken } from '../../../runtime/json-tokens.ts';
import { ownText } from './own-text.ts';

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** `isEscaped`: the value is a text that was written with escapes. */
export type Member = readonly [name: string, value: JsonValue, isEscaped?: boolean];
export type Members = readonly Member[];

/** Called for a well-formed number that no float can hold. */
export type OnOutOfRange = (number: string) => void;

type Container =
  | { readonly kind: 'list'; readonly items: JsonValue[] }
  | { readonly kind: 'object'; readonly members: Member[]; name: string | undefined };

/** `text` is one object and known to be valid JSON. */
export function readMembers(text: string, onOutOfRange: OnOutOfRange = () => undefined): Members {
  const open: Container[] = [];
  for (const slice of jsonTokens(text)) {
    const token = ownText(slice, text);
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
  if (container.kind === 'object' && container.name === undefined) container.name = textOfToken(token);
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
  // Unlike an assignment, this also creates a plain member named `__proto__`.
  return Object.fromEntries(container.members.map(([name, value]) => [name, value]));
}

function readScalar(token: string, onOutOfRange: OnOutOfRange): JsonValue {
  if (isQuoted(token)) return textOfToken(token);
  if (token === 'true') return true;
  if (token === 'false') return false;
  if (token === 'null') return null;
  const number = Number(token);
  if (!Number.isFinite(number)) onOutOfRange(token);
  return number;
}
