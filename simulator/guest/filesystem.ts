// What is on a disk, and how a guest prepares it for a mount (docs/reference/guest-network.md §3.1). The guest agent recognises
// ext4 alone, so it formats an ensured disk with xfs each time.

export type Filesystem = 'ext4' | 'xfs';

/** Names of the files on a disk, as stored on the host. */
export class DiskFiles extends Set<string> {
  /** Undefined: the disk is blank. */
  filesystem: Filesystem | undefined = 'ext4';

  format(filesystem: Filesystem): void {
    this.filesystem = filesystem;
    this.clear();
  }
}

interface Wanted {
  readonly filesystem: string | undefined;
  readonly isEnsured: boolean;
  readonly isReadOnly: boolean;
}

const unrecognised = "getting device's filesystem: could not get device filesystem type";
const notMountable = 'mounting: invalid argument';

/** Formats the disk if it has to be. Returns why the disk cannot be mounted. */
export function prepareFilesystem(files: DiskFiles, wanted: Wanted): string | undefined {
  const { filesystem = recognised(files), isEnsured, isReadOnly } = wanted;
  if (filesystem === undefined) return unrecognised;
  if (filesystem !== 'ext4' && filesystem !== 'xfs') {
    return isEnsured ? `unsupported filesystem ${filesystem} requested for device` : notMountable;
  }
  if (isEnsured && recognised(files) !== filesystem) files.format(filesystem);
  if (files.filesystem !== filesystem) return notMountable;
  return filesystem === 'xfs' && isReadOnly ? notMountable : undefined;
}

function recognised({ filesystem }: DiskFiles): 'ext4' | undefined {
  return filesystem === 'ext4' ? filesystem : undefined;
}
