// Virtual disks as bytes, with the parts that say where their content comes from: [MS-VHDX], and the VHD specification
// 1.0.
import type { DiskBytes } from '../../../agent/preparation/paths/virtual-disk.ts';

export interface Piece {
  readonly at: number;
  readonly bytes: Buffer;
}
export interface DiskImage {
  readonly size: number;
  readonly pieces: readonly Piece[];
}

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const guid = (text: string) => {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
  const swapped = [a, b, c].map((part) => Buffer.from(part, 'hex').reverse());
  return Buffer.concat([...swapped, Buffer.from(d + e, 'hex')]);
};
const ids = {
  bat: guid('2DC27766-F623-4200-9D64-115E9BFD4A08'),
  metadata: guid('8B7CA206-4790-4B9A-B8FE-575F050F886E'),
  fileParameters: guid('CAA16737-FA36-4D43-B3B6-33F0AA44E76B'),
  diskSize: guid('2FA54224-CD1B-4876-B211-5DBED83BF4B8'),
  parentLocator: guid('A8D35F2D-B30B-454D-ABF7-D3D84834AB0C'),
};

export function vhdFooter(type: number): Buffer {
  const footer = Buffer.alloc(512);
  footer.write('conectix');
  footer.writeUInt32BE(type, 60);
  return footer;
}

export function vhd(type: number, size = 64 * kibibyte): DiskImage {
  const footer = vhdFooter(type);
  const copy = type === 2 ? [] : [{ at: 0, bytes: footer }];
  return { size, pieces: [...copy, { at: size - 512, bytes: footer }] };
}

interface VhdxShape {
  readonly hasParent?: boolean;
  readonly hasParentLocator?: boolean;
  readonly hasFileParameters?: boolean;
  readonly regionTables?: readonly ('first' | 'second')[];
  readonly regions?: number;
  /** Entries of the log; absent for an empty log. */
  readonly log?: readonly Buffer[];
  readonly logBytes?: number;
}

const metadataAt = 2 * mebibyte;
const logAt = mebibyte;
const itemAt = 64 * kibibyte;

/** 32-byte entries of a table. */
function entry(id: Buffer, ...words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(32);
  id.copy(bytes);
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word, 16 + 4 * index);
  return bytes;
}

export function vhdx(shape: VhdxShape = {}): DiskImage {
  const { hasFileParameters = true, hasParent = false, hasParentLocator = false, log, logBytes = mebibyte } = shape;
  const { regions = 2, regionTables = ['first', 'second'] } = shape;
  const header = Buffer.alloc(80);
  header.write('head');
  if (log !== undefined) header.fill(7, 48, 64);
  header.writeUInt32LE(logBytes, 68);
  header.writeBigUInt64LE(BigInt(logAt), 72);
  const table = Buffer.alloc(16);
  table.write('regi');
  table.writeUInt32LE(regions, 8);
  const regionTable = Buffer.concat([
    table,
    entry(ids.bat, 3 * mebibyte, 0, mebibyte, 1),
    entry(ids.metadata, metadataAt, 0, mebibyte, 1),
  ]);
  const items = [
    entry(ids.diskSize, itemAt + 8, 8, 6),
    ...(hasFileParameters ? [entry(ids.fileParameters, itemAt, 8, 4)] : []),
    ...(hasParentLocator ? [entry(ids.parentLocator, itemAt + 16, 20, 4)] : []),
  ];
  const metadata = Buffer.alloc(32);
  metadata.write('metadata');
  metadata.writeUInt16LE(items.length, 10);
  const parameters = Buffer.alloc(8);
  parameters.writeUInt32LE(32 * mebibyte);
  parameters.writeUInt32LE(hasParent ? 2 : 0, 4);
  return {
    size: 4 * mebibyte,
    pieces: [
      { at: 0, bytes: Buffer.from('vhdxfile') },
      ...[64, 128].map((at) => ({ at: at * kibibyte, bytes: header })),
      ...regionTables.map((which) => ({ at: (which === 'first' ? 192 : 256) * kibibyte, bytes: regionTable })),
      ...(log === undefined ? [] : [{ at: logAt, bytes: Buffer.concat(log) }]),
      { at: metadataAt, bytes: Buffer.concat([metadata, ...items]) },
      { at: metadataAt + itemAt, bytes: parameters },
    ],
  };
}

/** A log entry with one descriptor and its data. */
export function logEntry(kind: 'desc' | 'zero', fileOffset: number, zeroLength = 0): Buffer {
  const bytes = Buffer.alloc(8 * kibibyte);
  bytes.write('loge');
  bytes.writeUInt32LE(1, 24);
  bytes.write(kind, 64);
  bytes.writeBigUInt64LE(BigInt(zeroLength), 72);
  bytes.writeBigUInt64LE(BigInt(fileOffset), 80);
  bytes.write('data', 4 * kibibyte);
  return bytes;
}

/** Puts the image into memory; its other bytes are zero. */
export function inMemory({ pieces, size }: DiskImage): DiskBytes & { readonly bytesRead: () => number } {
  let total = 0;
  return {
    size,
    bytesRead: () => total,
    async read(offset, length) {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - offset)));
      for (const { at, bytes: piece } of pieces) {
        const skipped = Math.max(0, offset - at);
        if (at + skipped - offset < bytes.length && skipped < piece.length)
          piece.copy(bytes, at + skipped - offset, skipped);
      }
      total += bytes.length;
      return bytes;
    },
  };
}

/** The image in the form of a host file's `content`. */
export function described({ pieces, size }: DiskImage) {
  return { size, content: pieces.map(({ at, bytes }) => ({ at, base64: bytes.toString('base64') })) };
}
