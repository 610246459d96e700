// Strict base64, and the offset at which a malformed text fails, as the original's decoder counts it
// (docs/reference/hcs-documents.md §7.5).

const wellFormed = /^[A-Za-z0-9+/]*={0,2}$/;

const padding = '='.charCodeAt(0);
const alphabet = new Set(Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'));

/** Offset of the first offending byte of the UTF-8 text; undefined when the text is well-formed. */
export function base64Error(text: string): number | undefined {
  if (text.length % 4 === 0 && wellFormed.test(text)) {
    return undefined;
  }
  return scanGroups(Buffer.from(text));
}

/** Reads groups of four characters. Line breaks are skipped anywhere. */
function scanGroups(bytes: Buffer): number | undefined {
  let at = skipLineBreaks(bytes, 0);
  while (at < bytes.length) {
    for (let place = 0; place < 4; place++) {
      const byte = bytes[at];
      if (byte === undefined) {
        // The text ends inside a group: its characters count as not read.
        return bytes.length - place;
      }
      if (byte === padding) {
        return paddingError(bytes, at, place);
      }
      if (!alphabet.has(byte)) {
        return at;
      }
      at = skipLineBreaks(bytes, at + 1);
    }
  }
  return undefined;
}

/** `at` is the first `=`, at position `place` of its group. Only line breaks may follow the padding. */
function paddingError(bytes: Buffer, at: number, place: number): number | undefined {
  if (place < 2) {
    return at;
  }
  let next = skipLineBreaks(bytes, at + 1);
  if (place === 2) {
    if (next === bytes.length) {
      return bytes.length;
    }
    if (bytes[next] !== padding) {
      return next - 1;
    }
    next = skipLineBreaks(bytes, next + 1);
  }
  return next === bytes.length ? undefined : next;
}

function skipLineBreaks(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x0a || bytes[at] === 0x0d) {
    at++;
  }
  return at;
}
