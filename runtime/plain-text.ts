// Text of a peer, made safe for a terminal, a log line or an API object (docs/design.md §10). A guest, an agent, or whoever
// writes an API object must not steer the terminal of who reads it, nor change the order in which its text is shown.
// Characters that could do so are shown by their number, as `\x1b` or `\u202e`; nothing is refused or lost. The result
// holds none of them, so escaping twice does no harm. It may be up to six times as long: cut it afterwards.

/** C0, DEL and C1, halves of surrogate pairs, and what changes lines or directions in Unicode. */
const steering = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
/** The same without line feed and tab. */
const steeringInLines = /(?![\n\t])[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** What JSON leaves as it is. */
const steeringInJson = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** On one line: a line feed or tab is escaped, too. */
export function plainText(text: string): string {
  return text.replace(steering, escaped);
}

/** Text that may have several lines: line feeds and tabs stay. */
export function plainLines(text: string): string {
  return text.replace(steeringInLines, escaped);
}

/**
 * JSON that goes to a log: the same characters, escaped as JSON has it, so that what is read from it is what was written.
 * JSON itself escapes C0 and halves of surrogate pairs, and nothing else.
 */
export function plainJson(json: string): string {
  return json.replace(steeringInJson, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function escaped(character: string): string {
  const code = character.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
}
