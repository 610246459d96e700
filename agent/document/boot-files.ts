// The folder with kernel and root file system (docs/reference/hcs-documents.md §2.3).
import { BootFile } from './constants.ts';
import { type FileFacts, statSucceeds } from './facts.ts';
import { type LinuxOptions, RootFsType } from './options.ts';
import { absolutePath, equalFold, joinPath } from './windows-paths.ts';

/** The options that depend on the boot folder. */
export type BootSelection = Pick<
  LinuxOptions,
  'BootFilesPath' | 'KernelFile' | 'KernelDirect' | 'RootFSFile' | 'PreferredRootFSType'
>;

/**
 * UpdateBootFilesPath: takes `folder` and prefers the files found in it. Quirk 7: choices are only ever upgraded;
 * moving from a folder with rootfs.vhd or vmlinux to one without them keeps the names. The same folder in different
 * letter case changes nothing.
 */
export function updateBootFilesPath<T extends BootSelection>(
  options: T,
  folder: string,
  currentDirectory: string,
  files: FileFacts,
): T {
  const path = absolutePath(folder, currentDirectory);
  if (equalFold(options.BootFilesPath, path)) {
    return options;
  }
  const hasVhd = statSucceeds(files, joinPath(path, BootFile.RootVhd));
  const hasUncompressedKernel =
    options.KernelDirect && statSucceeds(files, joinPath(path, BootFile.UncompressedKernel));
  return {
    ...options,
    BootFilesPath: path,
    KernelFile: hasUncompressedKernel ? BootFile.UncompressedKernel : options.KernelFile,
    RootFSFile: hasVhd ? BootFile.RootVhd : options.RootFSFile,
    PreferredRootFSType: hasVhd ? RootFsType.Vhd : options.PreferredRootFSType,
  };
}
