// UTF-8 as the guest's library decodes it (hcs-runtime D.4): each byte that is not part of a character becomes one
// U+FFFD. The platform's decoders replace a whole broken sequence by one.
import { isUtf8 } from 'node:buffer';

export function decodeUtf8(bytes: Buffer, start = 0, end = bytes.length): string {
  const text = bytes.toString('utf8', start, end);
  if (!text.includes('\u{fffd}')) return text;
  const part = bytes.subarray(start, end);
  return isUtf8(part) ? text : decodeBroken(part);
}

/** How many bytes at the end may be the start of one incomplete character. */
export function openTail(bytes: Buffer): number {
  for (let back = 1; back < 4 && back <= bytes.length; back += 1) {
    const byte = bytes.readUInt8(bytes.length - back);
    if (byte >= 0xc0) return sequenceLength(byte) > back ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

const replacement = Buffer.from('\u{fffd}');

/**
 * Rewrites the bytes as valid UTF-8 and decodes them in one call, which stays fast when a guest sends only broken
 * bytes.
 */
function decodeBroken(bytes: Buffer): string {
  const whole = Buffer.allocUnsafe(bytes.length * replacement.length);
  let length = 0;
  for (let index = 0; index < bytes.length; ) {
    const count = characterLength(bytes, index);
    for (let end = index + count; index < end; index += 1) whole[length++] = bytes[index] ?? 0;
    if (count > 0) continue;
    length += replacement.copy(whole, length);
    index += 1;
  }
  return whole.toString('utf8', 0, length);
}

/** The length in bytes of the character at `index`; 0 when there is none. */
function characterLength(bytes: Buffer, index: number): number {
  const lead = bytes[index] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4 || !isSecond(lead, bytes[index + 1] ?? 0)) return 0;
  const length = sequenceLength(lead);
  for (let next = index + 2; next < index + length; next += 1) if (!isContinuation(bytes[next] ?? 0)) return 0;
  return length;
}

/** Checks that the sequence is neither overlong nor a surrogate nor beyond Unicode (RFC 3629, 4). */
function isSecond(lead: number, byte: number): boolean {
  if (lead === 0xe0) return byte >= 0xa0 && byte < 0xc0;
  if (lead === 0xed) return byte >= 0x80 && byte < 0xa0;
  if (lead === 0xf0) return byte >= 0x90 && byte < 0xc0;
  if (lead === 0xf4) return byte >= 0x80 && byte < 0x90;
  return isContinuation(byte);
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

function sequenceLength(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
