// The simulated guest against what a real guest agent answered for each kind of disk (docs/reference/guest-network.md §3.1).
import { describe, expect, it } from 'vitest';
import { DiskFiles, type Filesystem, prepareFilesystem } from '../../../simulator/guest/filesystem.ts';

const unrecognised = "getting device's filesystem: could not get device filesystem type";
const notMountable = 'mounting: invalid argument';

function disk(filesystem: Filesystem | undefined): DiskFiles {
  const files = new DiskFiles(['file']);
  files.filesystem = filesystem;
  return files;
}

describe('a disk that is to be mounted', () => {
  it.each([
    ['blank', undefined, {}, unrecognised, undefined],
    ['blank, named ext4', undefined, { filesystem: 'ext4' }, notMountable, undefined],
    ['blank, ensured without a name', undefined, { isEnsured: true }, unrecognised, undefined],
    [
      'blank, ensured btrfs',
      undefined,
      { filesystem: 'btrfs', isEnsured: true },
      'unsupported filesystem btrfs',
      undefined,
    ],
    ['blank, ensured ext4', undefined, { filesystem: 'ext4', isEnsured: true }, undefined, []],
    ['ext4', 'ext4', {}, undefined, ['file']],
    ['ext4, ensured', 'ext4', { filesystem: 'ext4', isEnsured: true }, undefined, ['file']],
    ['ext4, read-only', 'ext4', { isReadOnly: true }, undefined, ['file']],
    ['xfs, named', 'xfs', { filesystem: 'xfs' }, undefined, ['file']],
    ['xfs, without a name', 'xfs', {}, unrecognised, ['file']],
    ['xfs, named, read-only', 'xfs', { filesystem: 'xfs', isReadOnly: true }, notMountable, ['file']],
    ['xfs, ensured', 'xfs', { filesystem: 'xfs', isEnsured: true }, undefined, []],
    ['xfs, ensured ext4', 'xfs', { filesystem: 'ext4', isEnsured: true }, undefined, []],
  ] as const)('%s', (_name, filesystem, wanted, problem, left) => {
    const files = disk(filesystem);
    const answer = prepareFilesystem(files, { filesystem: undefined, isEnsured: false, isReadOnly: false, ...wanted });
    if (problem === undefined) expect(answer).toBeUndefined();
    else expect(answer).toContain(problem);
    if (left !== undefined) expect([...files]).toEqual(left);
  });
});
