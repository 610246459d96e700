// Text of a peer, made safe for a terminal, a log line or an API object (docs/design.md §10). A guest, an agent or the
// author of an API object must not steer the terminal of a reader, nor change the order in which text is shown.
// Characters that could do so are shown by their number, as `\x1b` or `\u202e`; nothing is refused or lost. The result
// contains no such character, so escaping twice does no harm. The result may be six times as long: cut it afterwards.

/** C0, DEL and C1, halves of surrogate pairs, and what changes lines or directions in Unicode. */
const steering = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
/** The same, except line feed and tab. */
const steeringInLines = /(?![\n\t])[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** The same, except what JSON itself escapes. */
const steeringInJson = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** On one line: line feeds and tabs are escaped, too. */
export function plainText(text: string): string {
  return text.replace(steering, escaped);
}

/** Text that may have several lines: line feeds and tabs stay. */
export function plainLines(text: string): string {
  return text.replace(steeringInLines, escaped);
}

/**
 * JSON for a log. Escapes the same characters in JSON's own syntax, so that parsing returns what was written. JSON
 * itself escapes C0 and surrogate halves only.
 */
export function plainJson(json: string): string {
  return json.replace(steeringInJson, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function escaped(character: string): string {
  const code = character.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
}
