// The requested options of one VM: what its manifest says, under the option names of the original (docs/reference/
// hcs-documents.md §1), with references resolved. An absent member means the default of the host that the VM runs on.
import { z } from 'zod';

const uint32 = z.int().min(0).max(0xffff_ffff);
/** The original holds these in 64 bits; a manifest can say no more than what JSON numbers carry exactly. */
const uint53 = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const hvSocketService = z.strictObject({
  BindSecurityDescriptor: z.string().optional(),
  ConnectSecurityDescriptor: z.string().optional(),
  AllowWildcardBinds: z.boolean().optional(),
  Disabled: z.boolean().optional(),
});

const assignedDevice = z.strictObject({
  deviceInstanceID: z.string(),
  virtualFunctionIndex: z.int().min(0).max(0xffff),
});

const disk = z.strictObject({
  name: z.string(),
  path: z.string(),
  readOnly: z.boolean(),
  mountPath: z.string().optional(),
});

/** Strict: an option that this agent does not know fails the VM (`UnsupportedByAgent`) instead of being left out. */
export const requestedOptions = z
  .strictObject({
    // Memory
    MemorySizeInMB: uint53,
    AllowOvercommit: z.boolean(),
    FullyPhysicallyBacked: z.boolean(),
    EnableDeferredCommit: z.boolean(),
    EnableColdDiscardHint: z.boolean(),
    LowMMIOGapInMB: uint53,
    HighMMIOBaseInMB: uint53,
    HighMMIOGapInMB: uint53,
    // Processor
    ProcessorCount: z.int().min(1).max(2048),
    ProcessorLimit: z.int().min(1).max(100_000),
    ProcessorWeight: z.int().min(1).max(10_000),
    CPUGroupID: z.string(),
    ResourcePartitionID: z.string(),
    // vNUMA
    MaxProcessorsPerNumaNode: uint32,
    MaxMemorySizePerNumaNode: uint53,
    PreferredPhysicalNumaNodes: z.array(uint32),
    NumaMappedPhysicalNodes: z.array(uint32),
    NumaProcessorCounts: z.array(uint32),
    NumaMemoryBlocksCounts: z.array(uint53),
    // Boot
    BootFilesPath: z.string(),
    KernelFile: z.string(),
    RootFSFile: z.string(),
    PreferredRootFSType: z.enum(['InitRd', 'VHD']),
    KernelDirect: z.boolean(),
    KernelBootOptions: z.string(),
    ExecCommandLine: z.string(),
    /** Appended to the command line after a space (later upstream: `lcow.extra-exec-command-args`). */
    ExtraExecArgs: z.string(),
    WritableOverlayDirs: z.boolean(),
    DmVerityMode: z.boolean(),
    DmVerityCreateArgs: z.string(),
    // Storage
    SCSIControllerCount: z.int().min(0).max(4),
    VPMemDeviceCount: z.int().min(0).max(128),
    VPMemSizeBytes: uint53,
    VPMemNoMultiMapping: z.boolean(),
    StorageQoSIopsMaximum: z.int().min(0).max(0x7fff_ffff),
    StorageQoSBandwidthMaximum: z.int().min(0).max(0x7fff_ffff),
    Disks: z.array(disk),
    // Devices, console, sockets
    AssignedDevices: z.array(assignedDevice),
    VPCIEnabled: z.boolean(),
    ConsolePipe: z.string(),
    EnableGraphicsConsole: z.boolean(),
    AdditionalHyperVConfig: z.record(z.string(), hvSocketService),
    ExtraVSockPorts: z.array(uint32),
    // Guest
    UseGuestConnection: z.boolean(),
    ForwardStdout: z.boolean(),
    ForwardStderr: z.boolean(),
    DisableTimeSyncService: z.boolean(),
    PolicyBasedRouting: z.boolean(),
    ProcessDumpLocation: z.string(),
    /** `<L>` of the default ExecCommandLine; absent means `info`. */
    LogLevel: z.enum(['panic', 'fatal', 'error', 'warning', 'info', 'debug', 'trace']),
    /** Later upstream's tri-state: true adds ` -scrub-logs`, false ` -scrub-logs=false`, absent nothing. */
    ScrubLogs: z.boolean(),
    NoWritableFileShares: z.boolean(),
    // Confidential
    SecurityPolicy: z.string(),
    /** True makes the SNP document (`confidential.isolation: SNP`). */
    SecurityPolicyEnabled: z.boolean(),
    SecurityPolicyEnforcer: z.string(),
    GuestStateFilePath: z.string(),
    DmVerityRootFsVhd: z.string(),
    HclEnabled: z.boolean(),
    EnableScratchEncryption: z.boolean(),
    UVMReferenceInfoFile: z.string(),
    UVMHashEnvelopeReferenceInfoFile: z.string(),
    // Life cycle
    /** ShouldTerminateOnLastHandleClosed; false also makes the command `/bin/vsockexec -r …`. Absent means true. */
    TerminateOnAgentExit: z.boolean(),
  })
  .partial();

export type RequestedOptions = z.infer<typeof requestedOptions>;
