// UTF-8 as the guest's library reads it (hcs-runtime D.4): each byte that is not part of a character becomes U+FFFD by
// itself, while the decoders of the platform replace a whole broken sequence by one.
import { isUtf8 } from 'node:buffer';

export function decodeUtf8(bytes: Buffer, start = 0, end = bytes.length): string {
  const text = bytes.toString('utf8', start, end);
  if (!text.includes('\u{fffd}')) return text;
  const part = bytes.subarray(start, end);
  return isUtf8(part) ? text : decodeBroken(part);
}

/** How many of the last bytes may be the beginning of one character whose rest is still to come. */
export function openTail(bytes: Buffer): number {
  for (let back = 1; back < 4 && back <= bytes.length; back += 1) {
    const byte = bytes.readUInt8(bytes.length - back);
    if (byte >= 0xc0) return sequenceLength(byte) > back ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

function decodeBroken(bytes: Buffer): string {
  const pieces: string[] = [];
  for (let index = 0; index < bytes.length; ) {
    const character = bytes.subarray(index, index + sequenceLength(bytes.readUInt8(index)));
    const isWhole = isUtf8(character);
    pieces.push(isWhole ? character.toString('utf8') : '\u{fffd}');
    index += isWhole ? character.length : 1;
  }
  return pieces.join('');
}

function sequenceLength(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
