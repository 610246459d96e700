// The bytes of a simulated file: its path, repeated, with the described bytes in their places. A file without described
// bytes ends like a fixed VHD, so that it can be attached as a disk.
import { z } from 'zod';

const maxPieces = 64;
const footerBytes = 512;

/** Bytes in base64, and their offset in the file. */
export const filePiece = z.strictObject({ at: z.int().min(0), base64: z.base64().max(1 << 20) });
export const fileContent = z.array(filePiece).max(maxPieces);
export type FileContent = z.infer<typeof fileContent>;

export interface DescribedFile {
  readonly size: number;
  readonly content?: FileContent;
  /** Fills the bytes that the description leaves out. */
  readonly filler: string;
}

export function bytesOf({ content, filler, size }: DescribedFile, offset: number, length: number): Buffer {
  const start = Math.min(offset, size);
  const bytes = Buffer.alloc(Math.min(length, size - start), filler);
  for (const { at, base64 } of content ?? footerOf(size)) overlay(bytes, start, Buffer.from(base64, 'base64'), at);
  return bytes;
}

function footerOf(size: number): FileContent {
  if (size < footerBytes) return [];
  const footer = Buffer.alloc(footerBytes);
  footer.write('conectix');
  footer.writeUInt32BE(2, 60);
  return [{ at: size - footerBytes, base64: footer.toString('base64') }];
}

function overlay(bytes: Buffer, start: number, piece: Buffer, at: number): void {
  const skipped = Math.max(0, start - at);
  if (at + skipped - start < bytes.length) piece.copy(bytes, at + skipped - start, Math.min(skipped, piece.length));
}
