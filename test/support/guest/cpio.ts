// An initial ramdisk is a cpio archive in the "newc" format: a header in hexadecimal text, the name, the content, each
// padded to four bytes.

export type ArchiveEntry =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly content: Buffer; readonly isExecutable?: boolean }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'device'; readonly path: string; readonly major: number; readonly minor: number };

const modes = { folder: 0o040755, file: 0o100644, program: 0o100755, link: 0o120777, device: 0o020666 } as const;

export function archive(entries: readonly ArchiveEntry[]): Buffer {
  const parts = entries.map((entry, index) => member(entry, index + 1));
  return Buffer.concat([...parts, record('TRAILER!!!', 0, 0, Buffer.alloc(0), [0, 0])]);
}

function member(entry: ArchiveEntry, inode: number): Buffer {
  const path = entry.path.replace(/^\//, '');
  if (entry.kind === 'file') {
    return record(path, inode, entry.isExecutable === true ? modes.program : modes.file, entry.content, [0, 0]);
  }
  if (entry.kind === 'link') return record(path, inode, modes.link, Buffer.from(entry.target), [0, 0]);
  const device: readonly [number, number] = entry.kind === 'device' ? [entry.major, entry.minor] : [0, 0];
  return record(path, inode, modes[entry.kind], Buffer.alloc(0), device);
}

function record(
  name: string,
  inode: number,
  mode: number,
  content: Buffer,
  [major, minor]: readonly [number, number],
): Buffer {
  const nameSize = Buffer.byteLength(name) + 1;
  // Inode, mode, owner, group, links, time, size, device of the archive (2), device (2), length of the name, checksum.
  const numbers = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, nameSize, 0];
  const header = `070701${numbers.map((value) => value.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header)), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
