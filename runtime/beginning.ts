// The beginning of a text that may be too long, in the unit that its limit has. No character is cut in two: half of one is
// refused by the API server, and no text that is written in UTF-8 can hold it.

const halfAtTheEnd = /[\ud800-\udbff]$/;

/** At most so many UTF-16 code units, which is what JavaScript and JSON schemas count. */
export function beginning(text: string, codeUnits: number): string {
  return text.length <= codeUnits ? text : text.slice(0, codeUnits).replace(halfAtTheEnd, '');
}

/** At most so many bytes of UTF-8, which is what Go programs such as the API server count. */
export function beginningInBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  // A copy: a slice would keep all of the text in memory for as long as it is remembered.
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return Buffer.from(text.slice(0, read)).toString();
}
