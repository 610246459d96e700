// VirtualMachine.Chipset: how the kernel is loaded (docs/reference/hcs-documents.md §6.12, §7.2).
import { secureBootTemplateId } from './constants.ts';
import { unlessEmpty } from './json-numbers.ts';
import { type LinuxOptions, RootFsType } from './options.ts';
import type { Chipset, LinuxKernelDirect, Writable } from './schema.ts';

export interface BootPaths {
  readonly kernel: string;
  readonly rootFileSystem: string;
}

export function ordinaryChipset(options: LinuxOptions, paths: BootPaths, commandLine: string): Chipset {
  return options.KernelDirect ? kernelDirect(options, paths, commandLine) : uefi(options, commandLine);
}

function kernelDirect(options: LinuxOptions, paths: BootPaths, commandLine: string): Chipset {
  const isRamdisk = options.PreferredRootFSType === RootFsType.InitRd;
  const boot: Writable<LinuxKernelDirect> = {};
  if (paths.kernel !== '') boot.KernelFilePath = paths.kernel;
  if (isRamdisk && paths.rootFileSystem !== '') boot.InitRdPath = paths.rootFileSystem;
  boot.KernelCmdLine = commandLine;
  return { LinuxKernelDirect: boot };
}

/** Quirk 24: folder and kernel name stay as given, although every other path is cleaned. */
function uefi(options: LinuxOptions, commandLine: string): Chipset {
  return {
    Uefi: {
      BootThis: {
        DeviceType: 'VmbFs',
        DevicePath: `\\${options.KernelFile}`,
        OptionalData: commandLine,
        VmbFsRootPath: unlessEmpty(options.BootFilesPath),
      },
    },
  };
}

/** The guest state file contains the boot entry. */
export const snpChipset: Chipset = {
  Uefi: { ApplySecureBootTemplate: 'Apply', SecureBootTemplateId: secureBootTemplateId },
};
