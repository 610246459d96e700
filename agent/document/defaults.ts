// The default options (docs/reference/hcs-documents.md §1, default columns).
import { type BootSelection, updateBootFilesPath } from './boot-files.ts';
import { BootFile, Build, Default } from './constants.ts';
import type { FileFacts, HostFacts } from './facts.ts';
import { type LinuxOptions, RootFsType } from './options.ts';

/** The facts that defaults depend on. */
export interface DefaultsHost extends Pick<HostFacts, 'architecture' | 'build'> {
  /** Processors that the agent's process sees. They decide only the default ProcessorCount. */
  readonly visibleProcessors: number;
  /** The host's default boot folder (docs/reference/hcs-documents.md §2.2). */
  readonly bootFolder: string;
  readonly currentDirectory: string;
}

export interface Identity {
  readonly id: string;
  readonly owner: string;
}

export function defaultOptions(
  identity: Identity,
  host: DefaultsHost,
  files: FileFacts,
  logLevel = 'info',
): LinuxOptions {
  const isArm64 = host.architecture === 'arm64';
  const boot = defaultBootSelection(host, files);
  return {
    ...constantDefaults,
    ID: identity.id,
    Owner: identity.owner,
    ProcessorCount: host.visibleProcessors === 1 ? 1 : 2,
    BootFilesPath: boot.BootFilesPath,
    KernelFile: boot.KernelFile,
    KernelDirect: boot.KernelDirect,
    RootFSFile: boot.RootFSFile,
    ExecCommandLine: defaultExecCommandLine(logLevel),
    VPMemDeviceCount: isArm64 ? 0 : Default.VPMemDevices,
    VPMemNoMultiMapping: host.build < Build.VPMemMultiMapping,
    PreferredRootFSType: boot.PreferredRootFSType,
  };
}

/**
 * The original fills in all defaults and then moves from no folder to the default one, which selects the files found
 * there.
 */
function defaultBootSelection(host: DefaultsHost, files: FileFacts): BootSelection {
  const beforeProbe: BootSelection = {
    BootFilesPath: '',
    KernelFile: BootFile.Kernel,
    KernelDirect: host.architecture !== 'arm64' && host.build >= Build.KernelDirect,
    RootFSFile: BootFile.InitRd,
    PreferredRootFSType: RootFsType.InitRd,
  };
  return updateBootFilesPath(beforeProbe, host.bootFolder, host.currentDirectory, files);
}

export function defaultExecCommandLine(logLevel: string): string {
  return `/bin/gcs -v4 -log-format json -loglevel ${logLevel}`;
}

const constantDefaults: LinuxOptions = {
  ID: '',
  Owner: '',
  MemorySizeInMB: Default.MemorySizeInMB,
  LowMMIOGapInMB: 0n,
  HighMMIOBaseInMB: 0n,
  HighMMIOGapInMB: 0n,
  AllowOvercommit: true,
  FullyPhysicallyBacked: false,
  EnableDeferredCommit: false,
  ProcessorCount: 2,
  ProcessorLimit: 0,
  ProcessorWeight: 0,
  StorageQoSIopsMaximum: 0,
  StorageQoSBandwidthMaximum: 0,
  DisableCompartmentNamespace: false,
  CPUGroupID: '',
  ResourcePartitionID: undefined,
  NetworkConfigProxy: '',
  ProcessDumpLocation: '',
  NoWritableFileShares: false,
  SCSIControllerCount: Default.ScsiControllers,
  DumpDirectoryPath: '',
  AdditionalHyperVConfig: {},
  MaxMemorySizePerNumaNode: 0n,
  MaxProcessorsPerNumaNode: 0,
  PreferredPhysicalNumaNodes: [],
  NumaMappedPhysicalNodes: [],
  NumaProcessorCounts: [],
  NumaMemoryBlocksCounts: [],
  EnableGraphicsConsole: false,
  ConsolePipe: '',
  BootFilesPath: '',
  KernelFile: BootFile.Kernel,
  KernelDirect: false,
  RootFSFile: BootFile.InitRd,
  KernelBootOptions: '',
  UseGuestConnection: true,
  ExecCommandLine: '',
  ForwardStdout: false,
  ForwardStderr: true,
  VPMemDeviceCount: 0,
  VPMemSizeBytes: Default.VPMemSizeBytes,
  VPMemNoMultiMapping: false,
  PreferredRootFSType: RootFsType.InitRd,
  EnableColdDiscardHint: false,
  VPCIEnabled: false,
  EnableScratchEncryption: false,
  DisableTimeSyncService: false,
  HclEnabled: undefined,
  ExtraVSockPorts: [],
  AssignedDevices: [],
  PolicyBasedRouting: false,
  WritableOverlayDirs: false,
  GuestStateFilePath: '',
  SecurityPolicy: '',
  SecurityPolicyEnabled: false,
  SecurityPolicyEnforcer: '',
  UVMReferenceInfoFile: BootFile.ReferenceInfo,
  UVMHashEnvelopeReferenceInfoFile: BootFile.ReferenceInfoHashEnvelope,
  BundleDirectory: '',
  UseGuestStateFile: false,
  DmVerityRootFsVhd: '',
  DmVerityMode: false,
  DmVerityCreateArgs: '',
};
