// The shape of nearly every log line: one object without nested ones, without white space, and without escapes in its
// names. Such a line is read in one pass that sees the members as they are written (json-members.ts says why that
// matters). This is faster than `JSON.parse` with the extra checks that it would need. json-members.ts reads all other
// lines.
import type { JsonValue, Member } from './json-members.ts';
import { ownText } from './own-text.ts';

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const closeBrace = 0x7d;

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON has none inside of texts
const controlCharacter = /[\u0000-\u001f]/;
/** Numbers up to this length are always within the range of floats. */
const scalar = /(?:-?(?:0|[1-9]\d{0,99})(?:\.\d{1,100})?(?:[eE][+-]?\d{1,2})?|true|false|null)(?=[,}])/y;
const simpleEscapes: ReadonlySet<string> = new Set('"\\/bfnrt');
const fourHexDigits = /^[\da-fA-F]{4}$/;
const surrogateEscape = /\\u[dD][89a-fA-F]/;

/** The members as they are written. Undefined for a text of any other shape, whether it is JSON or not. */
export function readFlatMembers(text: string): readonly Member[] | undefined {
  if (controlCharacter.test(text) || !text.startsWith('{"')) return undefined;
  const cursor = new Cursor(text);
  const members: Member[] = [];
  do {
    const member = cursor.member();
    if (member === undefined) return undefined;
    members.push(member);
  } while (cursor.skip(comma));
  return cursor.isLast(closeBrace) ? members : undefined;
}

class Cursor {
  readonly #text: string;
  #index = 1;
  /** Index of the first backslash at or after the cursor, or the length of the text. */
  #backslash: number;

  constructor(text: string) {
    this.#text = text;
    this.#backslash = this.#next('\\', 0);
  }

  member(): Member | undefined {
    const name = this.#plainText();
    if (name === undefined || !this.skip(colon)) return undefined;
    if (this.#text.charCodeAt(this.#index) !== quote) return this.#scalar(name);
    const plain = this.#plainText();
    return plain === undefined ? this.#escapedText(name) : [name, plain];
  }

  skip(character: number): boolean {
    if (this.#text.charCodeAt(this.#index) !== character) return false;
    this.#index += 1;
    return true;
  }

  isLast(character: number): boolean {
    return this.skip(character) && this.#index === this.#text.length;
  }

  /** A text without escapes; otherwise the cursor stays. */
  #plainText(): string | undefined {
    const start = this.#index + 1;
    if (this.#text.charCodeAt(start - 1) !== quote) return undefined;
    const end = this.#text.indexOf('"', start);
    if (end < 0 || end > this.#backslash) return undefined;
    this.#index = end + 1;
    return ownText(this.#text.slice(start, end), this.#text);
  }

  #escapedText(name: string): Member | undefined {
    const start = this.#index;
    let end = this.#text.indexOf('"', start + 1);
    let isSound = true;
    while (end > this.#backslash) {
      const behind = this.#backslash + 2;
      isSound &&= isEscape(this.#text, this.#backslash + 1);
      if (end < behind) end = this.#text.indexOf('"', behind);
      this.#backslash = this.#next('\\', behind);
    }
    const literal = this.#text.slice(start, end + 1);
    this.#index = end + 1;
    if (!isSound || end < 0 || surrogateEscape.test(literal)) return undefined;
    // The defect of names with escapes does not affect a text by itself.
    return [name, String(JSON.parse(literal)), true];
  }

  #scalar(name: string): Member | undefined {
    scalar.lastIndex = this.#index;
    const found = scalar.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#index += found.length;
    return [name, scalarValue(found)];
  }

  #next(wanted: string, from: number): number {
    const found = this.#text.indexOf(wanted, from);
    return found < 0 ? this.#text.length : found;
  }
}

function scalarValue(text: string): JsonValue {
  if (text === 'true') return true;
  if (text === 'false') return false;
  return text === 'null' ? null : Number(text);
}

/** Checked before parsing: a guest may write only broken escapes, and exceptions are expensive. */
function isEscape(text: string, index: number): boolean {
  return text.charAt(index) === 'u' ? isHexNumber(text, index + 1) : simpleEscapes.has(text.charAt(index));
}

function isHexNumber(text: string, index: number): boolean {
  return fourHexDigits.test(text.slice(index, index + 4));
}
