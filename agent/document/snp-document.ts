// The document of an AMD SEV-SNP confidential VM, which boots from a guest state (VMGS) file
// (docs/reference/hcs-documents.md §7). It has no kernel command line, consoles, VPMem, assigned devices or vNUMA.
import type { BuildContext } from './build-context.ts';
import { reserveRootSlot } from './build-context.ts';
import { snpChipset } from './chipset.ts';
import { BootFile, genericAll, SecurityDescriptor } from './constants.ts';
import { exists } from './facts.ts';
import { unlessEmpty } from './json-numbers.ts';
import { launchData } from './launch-data.ts';
import { buildMemory, normaliseMemory } from './memory.ts';
import { RootFsType } from './options.ts';
import { DocumentError } from './outcome.ts';
import { buildProcessor, verifiedCount } from './processor.ts';
import type { Devices, SecuritySettings, VirtualMachine, Writable } from './schema.ts';
import { snpServiceTable } from './service-table.ts';
import { type BuiltMachine, computeSystem, SchemaVersion } from './skeleton.ts';
import { buildScsi, buildStorageQoS } from './storage.ts';
import { joinPath } from './windows-paths.ts';

interface Staging {
  readonly vmgsTemplate: string;
  readonly vhdTemplate: string;
  readonly vmgsCopy: string;
  readonly vhdCopy: string;
}

export function buildSnpDocument(context: BuildContext): BuiltMachine {
  const { options } = context;
  const staging = findTemplates(context);
  const processorCount = verifiedCount(context);
  stage(context, staging);
  const memorySizeInMB = normaliseMemory(context);
  const machine: Writable<VirtualMachine> = {
    StopOnReset: true,
    Chipset: snpChipset,
    ComputeTopology: {
      Memory: buildMemory(options, memorySizeInMB, undefined),
      Processor: buildProcessor(options, processorCount, undefined),
    },
    Devices: buildDevices(context, staging),
    GuestState: {
      GuestStateFilePath: unlessEmpty(staging.vmgsCopy),
      GuestStateFileType: 'FileMode',
      ForceTransientState: true,
    },
  };
  const storageQoS = buildStorageQoS(options);
  if (storageQoS !== undefined) machine.StorageQoS = storageQoS;
  // Last, because the original finds a bad policy only after everything is staged.
  machine.SecuritySettings = securitySettings(context);
  const document = computeSystem(context, SchemaVersion.Snp, machine);
  return { document, processorCount, memorySizeInMB, execCommandLine: options.ExecCommandLine };
}

/**
 * Both templates must exist, the VHD even when dm-verity is off. An empty name refers to the folder: it passes here,
 * and the copy fails.
 */
function findTemplates(context: BuildContext): Staging {
  const { options, files } = context;
  if (options.PreferredRootFSType !== RootFsType.None) {
    throw new DocumentError('RootTypeWithSnp', 'specifying a PreferredRootFSType is incompatible with SNP mode');
  }
  const vmgsTemplate = joinPath(options.BootFilesPath, options.GuestStateFilePath);
  if (!exists(files, vmgsTemplate)) {
    throw new DocumentError('BootFileNotFound', `the GuestState vmgs file '${vmgsTemplate}' was not found`);
  }
  const vhdTemplate = joinPath(options.BootFilesPath, options.DmVerityRootFsVhd);
  if (!exists(files, vhdTemplate)) {
    throw new DocumentError('BootFileNotFound', `the DM Verity VHD file '${vhdTemplate}' was not found`);
  }
  return {
    vmgsTemplate,
    vhdTemplate,
    vmgsCopy: joinPath(options.BundleDirectory, options.GuestStateFilePath),
    // Quirk 10: the VHD's copy always has this name; the VMGS copy keeps its own.
    vhdCopy: joinPath(options.BundleDirectory, BootFile.RootVhd),
  };
}

/** §7.1 steps 5 to 7. A failure deletes the copies made so far, the VHD's first. */
function stage(context: BuildContext, staging: Staging): void {
  const { vmgsTemplate, vhdTemplate, vmgsCopy, vhdCopy } = staging;
  const copies = [vhdCopy, vmgsCopy];
  context.effects.push(
    {
      kind: 'copy',
      from: vmgsTemplate,
      to: vmgsCopy,
      errorPrefix: copyErrorPrefix('VMGS template', vmgsTemplate, vmgsCopy),
      undo: [],
    },
    {
      kind: 'copy',
      from: vhdTemplate,
      to: vhdCopy,
      errorPrefix: copyErrorPrefix('DM Verity rootfs template', vhdTemplate, vhdCopy),
      undo: [vmgsCopy],
    },
    { kind: 'grant', path: vmgsCopy, access: genericAll, errorPrefix: grantErrorPrefix, undo: copies },
    { kind: 'grant', path: vhdCopy, access: genericAll, errorPrefix: grantErrorPrefix, undo: copies },
  );
}

const grantErrorPrefix = 'failed to grant VM group access ALL: ';

function copyErrorPrefix(what: string, from: string, to: string): string {
  return `failed to copy ${what} file: failed CopyFileW Win32 call from '${from}' to '${to}': `;
}

function buildDevices(context: BuildContext, staging: Staging): Devices {
  const devices: Writable<Devices> = {};
  if (context.scsiControllerCount > 0) {
    devices.Scsi = buildScsi(context.scsiControllerCount, attachedRoot(context, staging));
  }
  devices.HvSocket = {
    HvSocketConfig: {
      DefaultBindSecurityDescriptor: SecurityDescriptor.Everyone,
      DefaultConnectSecurityDescriptor: SecurityDescriptor.SystemAndAdministrators,
      ServiceTable: snpServiceTable(context.options),
    },
  };
  devices.Plan9 = {};
  return devices;
}

/** With DmVerityMode off the copy is made but not attached. */
function attachedRoot(context: BuildContext, staging: Staging): string | undefined {
  if (!context.options.DmVerityMode) {
    return undefined;
  }
  reserveRootSlot(context);
  return staging.vhdCopy;
}

function securitySettings(context: BuildContext): SecuritySettings {
  const { options } = context;
  return {
    Isolation: {
      IsolationType: 'SecureNestedPaging',
      LaunchData: launchData(options.SecurityPolicy),
      HclEnabled: options.HclEnabled,
    },
  };
}
