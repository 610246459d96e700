// Quoted text as the original's formatting verb %q writes it (docs/reference/hcs-documents.md §6.9). It becomes part of
// the kernel command line, so every escape counts.

import { laterCharacters } from './later-characters.ts';

const namedEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

/**
 * Everything except letters, marks, numbers, punctuation, symbols and the ASCII space; plus the two characters that
 * quoting uses.
 */
const escaped = new RegExp(String.raw`["\\${laterCharacters}]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]`, 'gu');

export function quoteText(text: string): string {
  return `"${text.replace(escaped, escapeCharacter)}"`;
}

function escapeCharacter(character: string): string {
  const named = namedEscapes[character];
  if (named !== undefined) {
    return named;
  }
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) {
    return `\\x${hex(code, 2)}`;
  }
  return code <= 0xffff ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
