// The members of a JSON object as hcsshim's decoder sees them: in written order, with repeated ones, which `JSON.parse`
// drops.
import { isQuoted, jsonTokens, textOfToken } from '../runtime/json-tokens.ts';

/** The value of a member that is a list or an object is undefined: no caller reads it. */
export type JsonMember = readonly [name: string, value: string | number | boolean | null | undefined];

/** Undefined: the text is not JSON, or its value is neither an object nor null. */
export function readJsonMembers(text: string): readonly JsonMember[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (value === null) return [];
  return typeof value === 'object' && !Array.isArray(value) ? [...membersOf(text)] : undefined;
}

/** The text is a valid object, so that names and values alternate. */
function* membersOf(text: string): Generator<JsonMember> {
  let name: string | undefined;
  for (const token of ownTokens(text)) {
    if (name === undefined) name = String(scalarOf(token));
    else {
      yield [name, token === '{' ? undefined : scalarOf(token)];
      name = undefined;
    }
  }
}

/** The names and values of the object itself; `{` stands for a whole list or object. */
function* ownTokens(text: string): Generator<string> {
  let depth = 0;
  for (const token of jsonTokens(text)) {
    if (token === '}' || token === ']') depth--;
    else if (token === '{' || token === '[') {
      if (depth === 1) yield '{';
      depth++;
    } else if (depth === 1) yield token;
  }
}

function scalarOf(token: string): string | number | boolean | null {
  if (isQuoted(token)) return textOfToken(token);
  if (token === 'null') return null;
  return token === 'true' || token === 'false' ? token === 'true' : Number(token);
}
