// Completes the requested options of a manifest to the builder's full options on a given host: defaults, boot-folder
// probing, and the resets that options cause in each other, in the order in which the original converts annotations
// (docs/reference/hcs-documents.md §9.3).
import type { RequestedOptions } from '../../protocol/options.ts';
import type { DocumentSwitches } from '../document/build-context.ts';
import { BootFile } from '../document/constants.ts';
import { type DefaultsHost, defaultOptions } from '../document/defaults.ts';
import type { FileFacts } from '../document/facts.ts';
import { isolation } from '../document/isolation.ts';
import {
  changeOptions,
  type LinuxOptionChanges,
  type LinuxOptions,
  linuxOptions,
  RootFsType,
} from '../document/options.ts';
import { absolutePath, joinPath } from '../document/windows-paths.ts';

export interface RequestedMachine {
  readonly id: string;
  readonly owner: string;
  /** The VM's own folder, for staged copies. */
  readonly bundleDirectory: string;
  readonly requested: RequestedOptions;
}

/** The members of the builder's input that come from the manifest. */
export interface FilledOptions {
  readonly options: LinuxOptions;
  readonly scrubLogs: boolean | undefined;
  readonly switches: DocumentSwitches;
}

export function fillOptions(machine: RequestedMachine, host: DefaultsHost, files: FileFacts): FilledOptions {
  const { requested } = machine;
  const defaults = defaultOptions(machine, withRequestedFolder(requested, host), files, requested.LogLevel);
  const steps = [sameNamed, rootFileSystem, kernel, fullyPhysicallyBacked, extraExecArgs, securityPolicy, confidential];
  const filled = steps.reduce((options, step) => changeOptions(options, step(requested, options)), defaults);
  return {
    options: changeOptions(filled, { BundleDirectory: machine.bundleDirectory }),
    scrubLogs: requested.ScrubLogs,
    switches: {
      writeResourcePartition: true,
      outliveAgent: requested.TerminateOnAgentExit === false,
    },
  };
}

/**
 * The requested folder replaces the default one before probing, so that nothing found in the default folder sticks
 * (quirk 7).
 */
function withRequestedFolder(requested: RequestedOptions, host: DefaultsHost): DefaultsHost {
  return requested.BootFilesPath === undefined ? host : { ...host, bootFolder: requested.BootFilesPath };
}

/** The changes of one conversion step, given the options after the earlier steps. */
type Step = (requested: RequestedOptions, options: LinuxOptions) => LinuxOptionChanges;

/** Options that are copied, 64-bit ones as bigints. The steps below set the others. */
const carriedOver = linuxOptions
  .omit({ BootFilesPath: true, PreferredRootFSType: true, RootFSFile: true, KernelFile: true })
  .partial();

const sameNamed: Step = (requested) => carriedOver.parse(requested);

/** Step 41: the type sets its default file name, which an explicit name then replaces. */
const rootFileSystem: Step = (requested) => {
  const type = requested.PreferredRootFSType;
  const byType = type === undefined ? undefined : rootFsDefaults[type];
  return {
    PreferredRootFSType: byType?.PreferredRootFSType,
    RootFSFile: requested.RootFSFile ?? byType?.RootFSFile,
  };
};

const rootFsDefaults = {
  InitRd: { PreferredRootFSType: RootFsType.InitRd, RootFSFile: BootFile.InitRd },
  VHD: { PreferredRootFSType: RootFsType.Vhd, RootFSFile: BootFile.RootVhd },
} as const;

/** Step 42: UEFI cannot boot the uncompressed kernel that the probe may have found. */
const kernel: Step = (requested, options) => ({
  KernelFile: requested.KernelFile ?? (options.KernelDirect ? undefined : BootFile.Kernel),
});

/** Step 43. */
const fullyPhysicallyBacked: Step = (requested) =>
  requested.FullyPhysicallyBacked === true ? { AllowOvercommit: false, VPMemDeviceCount: 0 } : {};

/** Step 44, later upstream. */
const extraExecArgs: Step = (requested, options) => {
  const args = requested.ExtraExecArgs ?? '';
  return args === '' ? {} : { ExecCommandLine: `${options.ExecCommandLine} ${args}` };
};

/**
 * Step 45 (§9.5): a confidential VM has its kernel, command line and root file system in its guest state file. This
 * applies without a policy text, too: a VM that asks for isolation never gets the ordinary document.
 */
const securityPolicy: Step = (requested) => {
  const isolated = requested.SecurityPolicyEnabled === true;
  const hasPolicy = isolated || (requested.SecurityPolicy ?? '') !== '';
  return {
    ...(isolated && isolation),
    ...(hasPolicy && { EnableScratchEncryption: requested.EnableScratchEncryption ?? true }),
  };
};

/** Steps 46 to 50: an explicit option wins over the block before. */
const confidential: Step = (requested) => ({
  GuestStateFilePath: requested.GuestStateFilePath,
  DmVerityRootFsVhd: requested.DmVerityRootFsVhd,
  DmVerityMode: requested.DmVerityMode,
  DmVerityCreateArgs: requested.DmVerityCreateArgs,
  HclEnabled: requested.HclEnabled,
});

/**
 * Every path that completing the options and building may look up, so that a caller can look them up beforehand. Some
 * may turn out to be unneeded, depending on what is found.
 */
export function pathsToStat(requested: RequestedOptions, host: DefaultsHost): string[] {
  const folder = absolutePath(withRequestedFolder(requested, host).bootFolder, host.currentDirectory);
  const names = [
    BootFile.Kernel,
    BootFile.UncompressedKernel,
    BootFile.InitRd,
    BootFile.RootVhd,
    requested.KernelFile,
    requested.RootFSFile,
    ...(requested.SecurityPolicyEnabled === true
      ? [BootFile.GuestState, requested.GuestStateFilePath, requested.DmVerityRootFsVhd]
      : []),
  ];
  return [...new Set(names.filter((name) => name !== undefined).map((name) => joinPath(folder, name)))];
}

/**
 * The boot paths that the manifest determines: the folder that it names, and the files looked up there. Reference files
 * are in the default folder.
 */
export function bootPathsNamed(requested: RequestedOptions, host: DefaultsHost): readonly string[] {
  const { UVMHashEnvelopeReferenceInfoFile, UVMReferenceInfoFile } = requested;
  const references = [UVMReferenceInfoFile, UVMHashEnvelopeReferenceInfoFile].filter((name) => name !== undefined);
  const folder = requested.BootFilesPath;
  const names = [
    requested.KernelFile,
    requested.RootFSFile,
    requested.GuestStateFilePath,
    requested.DmVerityRootFsVhd,
  ].filter((name) => name !== undefined);
  const bootFolder = absolutePath(folder ?? host.bootFolder, host.currentDirectory);
  return [
    ...(folder === undefined
      ? names.map((name) => joinPath(bootFolder, name))
      : [bootFolder, ...pathsToStat(requested, host)]),
    ...references.map((name) => joinPath(host.bootFolder, name)),
  ];
}
