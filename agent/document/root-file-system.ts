// How the guest finds its root file system (docs/reference/hcs-documents.md §6.7–§6.9, §6.13): the first fragment of
// the kernel command line, and the device that holds the file, if any.
import { type BuildContext, reserveRootSlot } from './build-context.ts';
import { Limit } from './constants.ts';
import { uint64 } from './json-numbers.ts';
import { type LinuxOptions, RootFsType } from './options.ts';
import { DocumentError, type VPMemSlot } from './outcome.ts';
import { quoteText } from './quoted-text.ts';
import type { VirtualPMemController, Writable } from './schema.ts';

export interface RootFileSystem {
  /** First fragment of the kernel command line; may be empty. */
  readonly kernelArguments: string;
  /** Disk for SCSI controller 0, LUN 0. */
  readonly scsiDisk: string | undefined;
  /** File for VPMem device 0. */
  readonly vpmemFile: string | undefined;
}

export function buildRootFileSystem(context: BuildContext, path: string): RootFileSystem {
  const { options } = context;
  if (options.PreferredRootFSType !== RootFsType.Vhd) {
    return { kernelArguments: ramdiskArgument(options), scsiDisk: undefined, vpmemFile: undefined };
  }
  if (options.VPMemDeviceCount > 0) {
    context.vpmemSlots.push(takeVPMemSlot(context, path));
    return { kernelArguments: 'root=/dev/pmem0 ro rootwait init=/init', scsiDisk: undefined, vpmemFile: path };
  }
  const kernelArguments = scsiRootArguments(options);
  if (context.scsiControllerCount === 0) {
    // The original crashes here.
    throw new DocumentError('NoScsiController', 'a VHD root file system needs a VPMem device or a SCSI controller');
  }
  reserveRootSlot(context);
  return { kernelArguments, scsiDisk: path, vpmemFile: undefined };
}

/**
 * UEFI loads the ramdisk by this argument. A kernel-direct boot has the path in the chipset section instead (§6.12).
 */
function ramdiskArgument(options: LinuxOptions): string {
  const byArgument = options.PreferredRootFSType === RootFsType.InitRd && !options.KernelDirect;
  return byArgument ? `initrd=/${options.RootFSFile}` : '';
}

/** dm-verity applies on this path only: with VPMem or a ramdisk DmVerityMode is ignored (quirk 9). */
function scsiRootArguments(options: LinuxOptions): string {
  if (!options.DmVerityMode) {
    return 'root=/dev/sda ro rootwait init=/init';
  }
  if (options.DmVerityCreateArgs === '') {
    throw new DocumentError(
      'MissingDmVerityArgs',
      'DmVerityCreateArgs must be set when DmVerityMode is true and not booting from a vmgs file.',
    );
  }
  return `root=/dev/dm-0 dm-mod.create=${quoteText(options.DmVerityCreateArgs)} init=/init`;
}

function takeVPMemSlot(context: BuildContext, path: string): VPMemSlot {
  const { options } = context;
  const slot = { slot: 0, hostPath: options.RootFSFile, guestPath: '/' };
  if (options.VPMemNoMultiMapping) {
    // On this path the size of the file is not checked (quirk 17).
    return { ...slot, kind: 'plain' };
  }
  return { ...slot, kind: 'packed', sizeInBytes: allocateFromPool(fileSize(context, path)) };
}

function fileSize(context: BuildContext, path: string): number {
  const fact = context.files.stat(path);
  if (fact.kind === 'error') {
    throw new DocumentError('BootFileUnreadable', `failed to stat rootfs: ${quoteText(path)}: ${fact.message}`);
  }
  return fact.kind === 'file' ? fact.size : 0;
}

/**
 * Allocates whole pages from an empty 4 GiB pool. A file that does not fit fails. An empty file fails too, because the
 * pool computes the size class from size − 1 (quirk 17).
 */
function allocateFromPool(bytes: number): number {
  const rounded = Math.ceil(bytes / Limit.VPMemPageBytes) * Limit.VPMemPageBytes;
  if (rounded === 0 || rounded > Limit.VPMemPoolBytes) {
    throw new DocumentError('BootFileSize', 'failed to allocate memory for rootfs: invalid memory class');
  }
  return rounded;
}

/** Devices.VirtualPMem, for a VM that has such devices (§6.7). */
export function buildVirtualPMem(options: LinuxOptions, file: string | undefined): VirtualPMemController {
  const controller: Writable<VirtualPMemController> = {};
  // Quirk 3: `.vhdx` files are declared as Vhd1, too.
  if (file !== undefined) controller.Devices = { '0': { HostPath: file, ReadOnly: true, ImageFormat: 'Vhd1' } };
  controller.MaximumCount = options.VPMemDeviceCount;
  if (options.VPMemSizeBytes !== 0n) controller.MaximumSizeBytes = uint64(options.VPMemSizeBytes);
  return controller;
}
