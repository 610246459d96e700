// The options of a Linux utility VM under the original's names (docs/reference/hcs-documents.md §1), each in the
// original's width (§0.1): a 64-bit number is a bigint here, because it may exceed 2^53.
import { z } from 'zod';

const int32 = z.int().min(-0x8000_0000).max(0x7fff_ffff);
const uint32 = z.int().min(0).max(0xffff_ffff);
const uint64 = z
  .union([z.int().min(0), z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn)])
  .transform((value) => BigInt(value));

/** PreferredRootFSType. The original also accepts any other number and treats it like `None` (quirk 21). */
export const RootFsType = { InitRd: 0, Vhd: 1, None: 2 } as const;

const serviceConfig = z.object({
  BindSecurityDescriptor: z.string().optional(),
  ConnectSecurityDescriptor: z.string().optional(),
  AllowWildcardBinds: z.boolean().optional(),
  Disabled: z.boolean().optional(),
});
export type HvSocketServiceOptions = z.infer<typeof serviceConfig>;

const assignedDevice = z.object({
  deviceInstanceID: z.string(),
  virtualFunctionIndex: z.int().min(0).max(0xffff),
});

const commonOptions = z.object({
  ID: z.string(),
  Owner: z.string(),
  MemorySizeInMB: uint64,
  LowMMIOGapInMB: uint64,
  HighMMIOBaseInMB: uint64,
  HighMMIOGapInMB: uint64,
  AllowOvercommit: z.boolean(),
  FullyPhysicallyBacked: z.boolean(),
  EnableDeferredCommit: z.boolean(),
  ProcessorCount: int32,
  ProcessorLimit: int32,
  ProcessorWeight: int32,
  StorageQoSIopsMaximum: int32,
  StorageQoSBandwidthMaximum: int32,
  DisableCompartmentNamespace: z.boolean(),
  CPUGroupID: z.string(),
  /** GUID text. Absent stands for the original's null. */
  ResourcePartitionID: z.string().optional(),
  NetworkConfigProxy: z.string(),
  ProcessDumpLocation: z.string(),
  NoWritableFileShares: z.boolean(),
  SCSIControllerCount: uint32,
  DumpDirectoryPath: z.string(),
  AdditionalHyperVConfig: z.record(z.string(), serviceConfig),
  MaxMemorySizePerNumaNode: uint64,
  MaxProcessorsPerNumaNode: uint32,
  PreferredPhysicalNumaNodes: z.array(uint32),
  NumaMappedPhysicalNodes: z.array(uint32),
  NumaProcessorCounts: z.array(uint32),
  NumaMemoryBlocksCounts: z.array(uint64),
  EnableGraphicsConsole: z.boolean(),
  ConsolePipe: z.string(),
});

const linuxOnlyOptions = z.object({
  BootFilesPath: z.string(),
  KernelFile: z.string(),
  KernelDirect: z.boolean(),
  RootFSFile: z.string(),
  KernelBootOptions: z.string(),
  UseGuestConnection: z.boolean(),
  ExecCommandLine: z.string(),
  ForwardStdout: z.boolean(),
  ForwardStderr: z.boolean(),
  VPMemDeviceCount: uint32,
  VPMemSizeBytes: uint64,
  VPMemNoMultiMapping: z.boolean(),
  PreferredRootFSType: z.int(),
  EnableColdDiscardHint: z.boolean(),
  VPCIEnabled: z.boolean(),
  EnableScratchEncryption: z.boolean(),
  DisableTimeSyncService: z.boolean(),
  /** Tri-state: absent leaves the member out of the document, false writes it. */
  HclEnabled: z.boolean().optional(),
  ExtraVSockPorts: z.array(uint32),
  AssignedDevices: z.array(assignedDevice),
  PolicyBasedRouting: z.boolean(),
  WritableOverlayDirs: z.boolean(),
});

const confidentialOptions = z.object({
  GuestStateFilePath: z.string(),
  SecurityPolicy: z.string(),
  SecurityPolicyEnabled: z.boolean(),
  SecurityPolicyEnforcer: z.string(),
  UVMReferenceInfoFile: z.string(),
  /** Only in later upstream. Read after start; not part of the document. */
  UVMHashEnvelopeReferenceInfoFile: z.string(),
  BundleDirectory: z.string(),
  UseGuestStateFile: z.boolean(),
  DmVerityRootFsVhd: z.string(),
  DmVerityMode: z.boolean(),
  DmVerityCreateArgs: z.string(),
});

/** All options in one flat object, as the golden data has them. */
export const linuxOptions = commonOptions.extend(linuxOnlyOptions.shape).extend(confidentialOptions.shape);

export type LinuxOptions = Readonly<z.infer<typeof linuxOptions>>;

/** Options that replace defaults. A member that is absent or undefined leaves the default. */
export type LinuxOptionChanges = { readonly [Name in keyof LinuxOptions]?: LinuxOptions[Name] | undefined };

/** `base` with the members that `changes` has. Empty, 0 and false are replacements, too. */
export function changeOptions(base: LinuxOptions, changes: LinuxOptionChanges): LinuxOptions {
  const given = hasUndefined(changes) ? withoutUndefined(changes) : changes;
  return Object.assign({ ...base }, given);
}

function hasUndefined<T extends object>(members: T): boolean {
  for (const name in members) {
    if (members[name] === undefined) return true;
  }
  return false;
}

function withoutUndefined(changes: LinuxOptionChanges): LinuxOptionChanges {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}
