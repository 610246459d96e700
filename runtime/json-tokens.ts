// The tokens of a text that is known to be valid JSON. `JSON.parse` hides what other decoders see: repeated members, the
// spelling of numbers, and names that are written with escapes (V8 confuses such a name with another one that it read
// earlier in the process: `\` with ` `).

const quote = 0x22;
const backslash = 0x5c;

/** Yields quoted texts, other scalars, and brackets. Commas and colons can be skipped: names and values alternate. */
export function* jsonTokens(text: string): Generator<string> {
  const skipped = /[\s,:]*/y;
  const scalar = /[^\s,:"{}[\]]+/y;
  for (let index = endOf(skipped, text, 0); index < text.length; index = endOf(skipped, text, index)) {
    const start = index;
    if (text.charCodeAt(start) === quote) index = endOfText(text, start + 1);
    else index = Math.max(endOf(scalar, text, start), start + 1);
    yield text.slice(start, index);
  }
}

export function isQuoted(token: string): boolean {
  return token.charCodeAt(0) === quote;
}

/** The text of a quoted token. Lone surrogates become U+FFFD. */
export function textOfToken(token: string): string {
  return token.includes('\\') ? String(JSON.parse(token)).toWellFormed() : token.slice(1, -1);
}

function endOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : start;
}

/** The index after the quote that ends the text around `index`. */
function endOfText(text: string, index: number): number {
  let end = index;
  while (end < text.length && text.charCodeAt(end) !== quote) end += text.charCodeAt(end) === backslash ? 2 : 1;
  return end + 1;
}
