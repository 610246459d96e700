// The framing of the guest bridge (hcs-runtime E.2): a 16-byte header (type, size with header, id), then JSON.
import { ByteBuffer } from '../byte-buffer.ts';

export const headerBytes = 16;
/** The largest frame that the host accepts, header included. The host may send longer frames. */
export const maxIncomingBytes = 0x1_0000;

export interface Frame {
  readonly type: number;
  /** Unsigned 64 bits. */
  readonly id: bigint;
  readonly payload: Buffer;
}

/** The top four bits of a type. */
export const frameKinds = { request: 1, response: 2, notification: 3 } as const;

export function frameKind(type: number): number {
  return type >>> 28;
}

/** A response has the type of its request with a different kind. */
export function responseType(requestType: number): number {
  return ((requestType & 0x0fff_ffff) | 0x2000_0000) >>> 0;
}

export function encodeFrame(type: number, id: bigint, payload: string): Buffer {
  const size = headerBytes + Buffer.byteLength(payload);
  const frame = Buffer.alloc(size);
  frame.writeUInt32LE(type, 0);
  frame.writeUInt32LE(size, 4);
  frame.writeBigUInt64LE(id, 8);
  frame.write(payload, headerBytes);
  return frame;
}

/** JSON inside a text member. The original escapes it for HTML (E.2). */
export function encodeInnerJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * JSON as the original host writes it: no HTML escapes, the two Unicode line separators escaped, and a final line feed.
 */
export function encodeHostJson(value: unknown): string {
  const text = JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
  return `${text}\n`;
}

export type FrameRead =
  | { readonly kind: 'frame'; readonly frame: Frame }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'badSize'; readonly size: number };

/** Splits a byte stream into frames. Nothing can be read after a bad size. */
export class FrameReader {
  readonly #bytes = new ByteBuffer();
  readonly #maxBytes: number;

  constructor(maxBytes: number = maxIncomingBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of an incomplete frame. */
  get pendingBytes(): number {
    return this.#bytes.length;
  }

  push(chunk: Uint8Array): void {
    this.#bytes.append(chunk);
  }

  next(): FrameRead {
    const bytes = this.#bytes.view();
    if (bytes.length < headerBytes) return { kind: 'incomplete' };
    const size = bytes.readUInt32LE(4);
    if (size < headerBytes || size > this.#maxBytes) return { kind: 'badSize', size };
    if (bytes.length < size) return { kind: 'incomplete' };
    const payload = Buffer.from(bytes.subarray(headerBytes, size));
    const frame = { type: bytes.readUInt32LE(0), id: bytes.readBigUInt64LE(8), payload };
    this.#bytes.consume(size);
    return { kind: 'frame', frame };
  }
}
