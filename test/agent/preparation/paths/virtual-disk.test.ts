// Disks whose content is in another file, recognised by their bytes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { virtualDiskProblem } from '../../../../agent/preparation/paths/virtual-disk.ts';
import { type DiskImage, inMemory, logEntry, vhd, vhdFooter, vhdx } from '../../../support/agent/disk-images.ts';

const problemOf = (image: DiskImage) => virtualDiskProblem(inMemory(image));
const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

describe('a disk that stands alone', () => {
  it.each<[string, DiskImage]>([
    ['a fixed VHD', vhd(2)],
    ['a fixed VHD of an old program', { size: 1023, pieces: [{ at: 512, bytes: vhdFooter(2).subarray(0, 511) }] }],
    ['a dynamic VHD', vhd(3)],
    ['a VHDX', vhdx()],
    ['a VHDX with one region table', vhdx({ regionTables: ['second'] })],
    // The host lost its power during a write of a VM.
    ['a VHDX with changes of the block table in its log', vhdx({ log: [logEntry('desc', 3 * mebibyte)] })],
    ['a VHDX with zeroed blocks in its log', vhdx({ log: [logEntry('zero', 3 * mebibyte, mebibyte)] })],
    ['a file that is smaller than any disk', { size: 510, pieces: [] }],
  ])('%s', async (_, image) => {
    expect(await problemOf(image)).toBeUndefined();
  });
});

describe('a disk with a parent', () => {
  /** A fixed VHD begins with what its guest wrote. */
  const asWrittenByGuest = ({ pieces, size }: DiskImage): DiskImage => ({
    size: size + 512,
    pieces: [...pieces, { at: size, bytes: vhdFooter(2) }],
  });

  it.each<[string, DiskImage]>([
    ['a differencing VHD', vhd(4)],
    ['one whose footer at the end is lost', { size: 64 * kibibyte, pieces: [{ at: 0, bytes: vhdFooter(4) }] }],
    [
      'one whose footers differ',
      { size: 4096, pieces: [...vhd(4, 4096).pieces.slice(0, 1), { at: 3584, bytes: vhdFooter(3) }] },
    ],
    ['a VHDX, recognised by its parameters', vhdx({ hasParent: true })],
    ['a VHDX, recognised by its locator alone', vhdx({ hasParentLocator: true })],
    ['a VHDX with only its second region table', vhdx({ hasParent: true, regionTables: ['second'] })],
    ['a fixed VHD whose guest wrote a VHDX into it', asWrittenByGuest(vhdx({ hasParent: true }))],
    ['a fixed VHD whose guest wrote a footer to its beginning', asWrittenByGuest(vhd(4))],
  ])('%s', async (_, image) => {
    expect(await problemOf(image)).toContain('differencing disk');
  });
});

describe('a disk that cannot be judged', () => {
  it.each<[string, DiskImage, string]>([
    ['nothing known', { size: mebibyte, pieces: [] }, 'neither'],
    ['an ISO image', { size: mebibyte, pieces: [{ at: 32_769, bytes: Buffer.from('CD001') }] }, 'neither'],
    ['a VHD of an unknown type', vhd(5), 'cannot be read'],
    ['a VHDX without region tables', vhdx({ regionTables: [] }), 'cannot be read'],
    ['a VHDX without metadata', vhdx({ regions: 1 }), 'cannot be read'],
    ['a VHDX without parameters', vhdx({ hasFileParameters: false }), 'cannot be read'],
    ['a table that is too long', vhdx({ regions: 0xffff_ffff }), 'cannot be read'],
    ['a VHDX that is cut short', { ...vhdx(), size: 2 * mebibyte + 4096 }, 'cannot be read'],
    ['a log that adds a parent', vhdx({ log: [logEntry('desc', 2 * mebibyte + 64 * kibibyte)] }), 'cannot be read'],
    ['a log that replaces the region table', vhdx({ log: [logEntry('desc', 192 * kibibyte)] }), 'cannot be read'],
    [
      'a log that zeroes up to the metadata',
      vhdx({ log: [logEntry('zero', mebibyte, 2 * mebibyte)] }),
      'cannot be read',
    ],
    ['a log that is too long', vhdx({ log: [], logBytes: 0xffff_ffff }), 'cannot be read'],
  ])('%s', async (_, image, words) => {
    expect(await problemOf(image)).toContain(words);
  });
});

it('no content makes the check fail, or read more than its bounds', async () => {
  const shape = fc.record({ hasParent: fc.boolean(), regions: fc.nat(3000), logBytes: fc.nat(0xffff_ffff) });
  const damage = fc.array(fc.tuple(fc.nat(3 * mebibyte), fc.uint8Array({ minLength: 1, maxLength: 40 })), {
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(shape, damage, fc.nat(4 * mebibyte), async (wanted, pieces, size) => {
      const image = vhdx({ ...wanted, log: [logEntry('desc', 3 * mebibyte)] });
      const hostile = [...image.pieces, ...pieces.map(([at, bytes]) => ({ at, bytes: Buffer.from(bytes) }))];
      const disk = inMemory({ size, pieces: hostile });
      await virtualDiskProblem(disk);
      expect(disk.bytesRead()).toBeLessThan(40 * mebibyte);
    }),
    { numRuns: 200 },
  );
});
