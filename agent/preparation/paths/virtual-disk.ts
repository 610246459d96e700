// Detects virtual disks that take content from another file. The disk itself names such a parent, where no path rule
// sees it: a VHDX that somebody copied to the host could show its VM another tenant's disk.
//
// The formats are [MS-VHDX] and the Virtual Hard Disk Image Format Specification 1.0. All bytes are hostile: both
// copies of each structure count, whatever their checksums say, and every read is bounded. A guest can write the
// beginning of a fixed VHD, so a disk is judged as every format that its bytes may be taken for.

export interface DiskBytes {
  readonly size: number;
  /** Reads at most `length` bytes, fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Buffer>;
}

/**
 * Why the disk is refused, as the end of a sentence about it; undefined for a disk that does not depend on another
 * file.
 */
export async function virtualDiskProblem(disk: DiskBytes): Promise<string | undefined> {
  const verdicts = await judge(disk);
  return problemOf(verdicts) ?? (verdicts.includes('alone') ? undefined : `is neither a VHD nor a VHDX: ${remake}`);
}

/** The same for a file that may be a disk or something else, such as a kernel. */
export async function foreignContentProblem(file: DiskBytes): Promise<string | undefined> {
  return problemOf(await judge(file));
}

async function judge(disk: DiskBytes): Promise<readonly Verdict[]> {
  // Smaller than any virtual disk: the file names no parent, and HCS refuses it.
  if (disk.size < vhdFooterBytes - 1) return ['alone'];
  return [await judgeVhd(disk), await judgeVhdx(disk)];
}

function problemOf(verdicts: readonly Verdict[]): string | undefined {
  if (verdicts.includes('child')) {
    return 'is a differencing disk, whose parent is another file: merge it into one disk (Convert-VHD makes a copy without a parent)';
  }
  return verdicts.includes('unreadable') ? `cannot be read as a virtual disk: ${remake}` : undefined;
}

const remake = 'make it anew, for example by Convert-VHD';

type Verdict = 'alone' | 'child' | 'unreadable' | 'other format';

// --- VHD --------------------------------------------------------------------------------------------------------------

const vhdFooterBytes = 512;
const vhdCookie = Buffer.from('conectix');
const diskTypeAt = 60;
const diskTypes = { fixed: 2, dynamic: 3, differencing: 4 } as const;

/**
 * The footer is at the end of the file; dynamic and differencing disks begin with a copy of it. Old footers are one
 * byte shorter.
 */
async function judgeVhd(disk: DiskBytes): Promise<Verdict> {
  const places = [disk.size - vhdFooterBytes, disk.size - vhdFooterBytes + 1, 0].filter((place) => place >= 0);
  const footers = await Promise.all(places.map((place) => disk.read(place, vhdFooterBytes)));
  const types = footers
    .filter((footer) => footer.length > diskTypeAt + 4 && footer.subarray(0, vhdCookie.length).equals(vhdCookie))
    .map((footer) => footer.readUInt32BE(diskTypeAt));
  if (types.includes(diskTypes.differencing)) return 'child';
  if (types.some((type) => type !== diskTypes.fixed && type !== diskTypes.dynamic)) return 'unreadable';
  return types.length === 0 ? 'other format' : 'alone';
}

// --- VHDX -------------------------------------------------------------------------------------------------------------

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const vhdxSignature = Buffer.from('vhdxfile');
/** There are two headers and two region tables. */
const headerPlaces = [64 * kibibyte, 128 * kibibyte] as const;
const regionTablePlaces = [192 * kibibyte, 256 * kibibyte] as const;
const headerBytes = 80;
const tableBytes = 64 * kibibyte;
const tableEntryBytes = 32;
/** Most entries of either kind of table. */
const maxTableEntries = 2047;
const regionHeaderBytes = 16;
const metadataHeaderBytes = 32;
/** Windows creates logs of 1 MiB. */
const maxLogBytes = 16 * mebibyte;

/** GUIDs in the byte order of the file. */
const ids = {
  metadataRegion: Buffer.from('06a27c8b90479a4bb8fe575f050f886e', 'hex'),
  fileParameters: Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex'),
  parentLocator: Buffer.from('2d5fd3a80bb34d45abf7d3d84834ab0c', 'hex'),
} as const;
const hasParentFlag = 2;

interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** A structure violates the format. */
class MalformedDisk extends Error {
  override readonly name = 'MalformedDisk';
}

async function judgeVhdx(disk: DiskBytes): Promise<Verdict> {
  const signature = await disk.read(0, vhdxSignature.length);
  if (!signature.equals(vhdxSignature)) return 'other format';
  try {
    const regions = await metadataRegions(disk);
    if (regions.length === 0) throw new MalformedDisk('no metadata');
    for (const region of regions) if (await metadataHasParent(disk, region)) return 'child';
    await requireHarmlessLogs(disk, regions);
    return 'alone';
  } catch (error) {
    if (error instanceof MalformedDisk) return 'unreadable';
    throw error;
  }
}

/** The regions of both tables: checksums decide which table counts, and the author of the file can choose them. */
async function metadataRegions(disk: DiskBytes): Promise<readonly Extent[]> {
  const regions: Extent[] = [];
  for (const place of regionTablePlaces) {
    const table = await disk.read(place, tableBytes);
    if (table.toString('latin1', 0, 4) !== 'regi') continue;
    for (const entry of tableEntries(table, regionHeaderBytes, word(table, 8))) {
      if (!entry.subarray(0, 16).equals(ids.metadataRegion)) continue;
      regions.push(extentWithin(disk, position(entry, 16), word(entry, 24)));
    }
  }
  return regions;
}

async function metadataHasParent(disk: DiskBytes, region: Extent): Promise<boolean> {
  const table = await disk.read(region.offset, tableBytes);
  if (table.length < tableBytes || table.toString('latin1', 0, 8) !== 'metadata')
    throw new MalformedDisk('no metadata table');
  let knowsParameters = false;
  for (const entry of tableEntries(table, metadataHeaderBytes, table.readUInt16LE(10))) {
    const id = entry.subarray(0, 16);
    if (id.equals(ids.parentLocator)) return true;
    if (!id.equals(ids.fileParameters)) continue;
    const item = await disk.read(region.offset + word(entry, 16), 8);
    if ((word(item, 4) & hasParentFlag) !== 0) return true;
    knowsParameters = true;
  }
  if (!knowsParameters) throw new MalformedDisk('no file parameters');
  return false;
}

function tableEntries(table: Buffer, start: number, count: number): readonly Buffer[] {
  const end = start + count * tableEntryBytes;
  if (count > maxTableEntries || end > table.length) throw new MalformedDisk('a table of impossible length');
  return Array.from({ length: count }, (_, index) =>
    table.subarray(start + index * tableEntryBytes, start + (index + 1) * tableEntryBytes),
  );
}

/**
 * After an unclean shutdown Windows applies the log before it reads anything else, so a log could add a parent. An
 * honest log holds changes of the block table. A log that touches the structures read above is refused.
 */
async function requireHarmlessLogs(disk: DiskBytes, regions: readonly Extent[]): Promise<void> {
  const firstRegions = { offset: 0, length: regionTablePlaces[1] + tableBytes };
  for (const place of headerPlaces) {
    const header = await disk.read(place, headerBytes);
    if (header.length < headerBytes || header.toString('latin1', 0, 4) !== 'head') continue;
    const hasLog = header.subarray(48, 64).some((byte) => byte !== 0);
    if (!hasLog) continue;
    const log = extentWithin(disk, position(header, 72), word(header, 68));
    if (log.length > maxLogBytes) throw new MalformedDisk('a log that is too long');
    if (await logTouches(disk, log, [firstRegions, ...regions])) throw new MalformedDisk('a log that changes tables');
  }
}

/** Checks a descriptor at every multiple of their size, whether or not its log entry is valid. */
async function logTouches(disk: DiskBytes, log: Extent, protectedExtents: readonly Extent[]): Promise<boolean> {
  for (let done = 0; done < log.length; done += mebibyte) {
    const piece = await disk.read(log.offset + done, Math.min(mebibyte, log.length - done));
    for (let at = 0; at + tableEntryBytes <= piece.length; at += tableEntryBytes) {
      const target = descriptorTarget(piece, at);
      if (target !== undefined && protectedExtents.some((extent) => overlaps(target, extent))) return true;
    }
  }
  return false;
}

const descriptors = { data: Buffer.from('desc').readUInt32LE(), zero: Buffer.from('zero').readUInt32LE() } as const;
const logSectorBytes = 4 * kibibyte;

/** The range that a log descriptor writes to. Numbers beyond 2^53 are beyond the end of any file. */
function descriptorTarget(piece: Buffer, at: number): Extent | undefined {
  const signature = piece.readUInt32LE(at);
  if (signature !== descriptors.data && signature !== descriptors.zero) return undefined;
  const length = signature === descriptors.data ? logSectorBytes : Number(piece.readBigUInt64LE(at + 8));
  return { offset: Number(piece.readBigUInt64LE(at + 16)), length };
}

function overlaps(a: Extent, b: Extent): boolean {
  return a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}

function extentWithin({ size }: DiskBytes, offset: number, length: number): Extent {
  if (offset + length > size) throw new MalformedDisk('a region beyond the end');
  return { offset, length };
}

/** Little-endian. A structure that is too short is malformed. */
function word(bytes: Buffer, at: number): number {
  if (bytes.length < at + 4) throw new MalformedDisk('a structure that is cut short');
  return bytes.readUInt32LE(at);
}

function position(bytes: Buffer, at: number): number {
  if (bytes.length < at + 8) throw new MalformedDisk('a structure that is cut short');
  return Number(bytes.readBigUInt64LE(at));
}
