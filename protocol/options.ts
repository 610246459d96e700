// The requested options of one VM: its manifest, under the option names of the original
// (docs/reference/hcs-documents.md §1), with references resolved. An absent member means the default of the host that
// the VM runs on.
import { z } from 'zod';
import type { LinuxUtilityVMSpec } from '../crds/linux-utility-vm.ts';
import { filesystems } from '../crds/spec/storage.ts';

const uint32 = z.int().min(0).max(0xffff_ffff);
/** The original holds these in 64 bits. A manifest can only carry what JSON numbers represent exactly. */
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
  filesystem: z.enum(filesystems).optional(),
  ensureFilesystem: z.boolean().optional(),
});

const share = z.strictObject({
  name: z.string(),
  path: z.string(),
  readOnly: z.boolean(),
  guestPath: z.string(),
});

/** Strict: an option that this agent does not know fails the VM (`UnsupportedByAgent`) instead of being dropped. */
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
    Shares: z.array(share),
    // Process
    /** The program and its arguments; absent: the VM has no process. */
    ProcessCommand: z.array(z.string()).min(1),
    /** `NAME=value`. */
    ProcessEnvironment: z.array(z.string()),
    ProcessWorkingDirectory: z.string(),
    ProcessGracePeriodSeconds: z.int().min(0).max(3600),
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

/** The resolved targets of the references in a spec. */
export interface References {
  /** The text under the key that `confidential.securityPolicyFrom` names. */
  readonly securityPolicy?: string | undefined;
}

/** The options that a manifest asks for. Throws if the spec has a reference that is not resolved. */
export function fromSpec(spec: LinuxUtilityVMSpec, references: References = {}): RequestedOptions {
  if (spec.confidential?.securityPolicyFrom !== undefined && references.securityPolicy === undefined) {
    throw new Error('spec.confidential.securityPolicyFrom is not resolved');
  }
  const requested: RequestedOptions = {};
  for (const options of Object.values(optionsByField)) Object.assign(requested, present(options(spec, references)));
  return requested;
}

/** Fields that say where and whether the VM runs, not what it is. Placement and the agent's state machine read them. */
export const operatorFields = ['nodeName', 'nodeSelector', 'tolerations', 'runStrategy', 'updateStrategy'] as const;

type Scalar = string | number | boolean;
/** A value that counts as one field: a scalar, or a whole list or map. */
type Whole<T> = T extends Scalar | readonly unknown[] ? true : string extends keyof T ? true : false;
/** The paths of all fields below T, members joined by `.`. */
type FieldPath<T> = {
  [Name in keyof T & string]: Whole<NonNullable<T[Name]>> extends true
    ? Name
    : `${Name}.${FieldPath<Required<NonNullable<T[Name]>>>}`;
}[keyof T & string];

type OptionField = Exclude<FieldPath<Required<LinuxUtilityVMSpec>>, (typeof operatorFields)[number]>;
type OptionsOf = (spec: LinuxUtilityVMSpec, references: References) => RequestedOptions;

const isIsolated = ({ confidential }: LinuxUtilityVMSpec) => confidential?.isolation === 'SNP';
/** A policy is the same option whether the spec contains it or refers to it. */
const policy: OptionsOf = ({ confidential }, references) => ({
  SecurityPolicy:
    confidential?.securityPolicyFrom === undefined ? confidential?.securityPolicy : references.securityPolicy,
});

/** Every field of the spec except the operator's own. A field without an entry does not compile. */
const optionsByField: Readonly<Record<OptionField, OptionsOf>> = {
  'memory.sizeInMB': ({ memory }) => ({ MemorySizeInMB: memory.sizeInMB }),
  'memory.allowOvercommit': ({ memory }) => ({ AllowOvercommit: memory.allowOvercommit }),
  'memory.fullyPhysicallyBacked': ({ memory }) => ({ FullyPhysicallyBacked: memory.fullyPhysicallyBacked }),
  'memory.enableDeferredCommit': ({ memory }) => ({ EnableDeferredCommit: memory.enableDeferredCommit }),
  'memory.enableColdDiscardHint': ({ memory }) => ({ EnableColdDiscardHint: memory.enableColdDiscardHint }),
  'memory.lowMMIOGapInMB': ({ memory }) => ({ LowMMIOGapInMB: memory.lowMMIOGapInMB }),
  'memory.highMMIOBaseInMB': ({ memory }) => ({ HighMMIOBaseInMB: memory.highMMIOBaseInMB }),
  'memory.highMMIOGapInMB': ({ memory }) => ({ HighMMIOGapInMB: memory.highMMIOGapInMB }),

  'processor.count': ({ processor }) => ({ ProcessorCount: processor?.count }),
  'processor.limit': ({ processor }) => ({ ProcessorLimit: processor?.limit }),
  'processor.weight': ({ processor }) => ({ ProcessorWeight: processor?.weight }),
  'processor.cpuGroupID': ({ processor }) => ({ CPUGroupID: processor?.cpuGroupID }),
  resourcePartitionID: ({ resourcePartitionID }) => ({ ResourcePartitionID: resourcePartitionID }),

  'numa.maxProcessorsPerNode': ({ numa }) => ({ MaxProcessorsPerNumaNode: numa?.maxProcessorsPerNode }),
  'numa.maxMemoryPerNodeInMB': ({ numa }) => ({ MaxMemorySizePerNumaNode: numa?.maxMemoryPerNodeInMB }),
  'numa.preferredPhysicalNodes': ({ numa }) => ({ PreferredPhysicalNumaNodes: numa?.preferredPhysicalNodes }),
  'numa.nodes': ({ numa }) => ({
    NumaMappedPhysicalNodes: numa?.nodes?.map(({ physicalNode }) => physicalNode),
    NumaProcessorCounts: numa?.nodes?.map(({ processors }) => processors),
    NumaMemoryBlocksCounts: numa?.nodes?.map(({ memoryInMB }) => memoryInMB),
  }),

  'boot.filesPath': ({ boot }) => ({ BootFilesPath: boot?.filesPath }),
  'boot.kernelFile': ({ boot }) => ({ KernelFile: boot?.kernelFile }),
  'boot.rootFSFile': ({ boot }) => ({ RootFSFile: boot?.rootFSFile }),
  'boot.rootFSType': ({ boot }) => ({ PreferredRootFSType: boot?.rootFSType }),
  'boot.kernelDirect': ({ boot }) => ({ KernelDirect: boot?.kernelDirect }),
  'boot.kernelOptions': ({ boot }) => ({ KernelBootOptions: boot?.kernelOptions }),
  'boot.execCommandLine': ({ boot }) => ({ ExecCommandLine: boot?.execCommandLine }),
  'boot.extraExecArgs': ({ boot }) => ({ ExtraExecArgs: boot?.extraExecArgs }),
  'boot.writableOverlayDirs': ({ boot }) => ({ WritableOverlayDirs: boot?.writableOverlayDirs }),
  // Two fields set this option. An isolated VM's root is attached unless `confidential` says otherwise.
  'boot.dmVerityMode': (spec) => (isIsolated(spec) ? {} : { DmVerityMode: spec.boot?.dmVerityMode }),
  'boot.dmVerityCreateArgs': ({ boot }) => ({ DmVerityCreateArgs: boot?.dmVerityCreateArgs }),

  'storage.scsiControllerCount': ({ storage }) => ({ SCSIControllerCount: storage?.scsiControllerCount }),
  'storage.vpmem.deviceCount': ({ storage }) => ({ VPMemDeviceCount: storage?.vpmem?.deviceCount }),
  'storage.vpmem.deviceSizeInBytes': ({ storage }) => ({ VPMemSizeBytes: storage?.vpmem?.deviceSizeInBytes }),
  'storage.vpmem.multiMapping': ({ storage }) => ({ VPMemNoMultiMapping: not(storage?.vpmem?.multiMapping) }),
  'storage.qos.iopsMaximum': ({ storage }) => ({ StorageQoSIopsMaximum: storage?.qos?.iopsMaximum }),
  'storage.qos.bandwidthMaximum': ({ storage }) => ({ StorageQoSBandwidthMaximum: storage?.qos?.bandwidthMaximum }),
  'storage.disks': ({ storage }) => ({ Disks: storage?.disks?.map(present) }),

  'devices.assigned': ({ devices }) => ({
    AssignedDevices: devices?.assigned?.map(({ instanceID, virtualFunction }) => ({
      deviceInstanceID: instanceID,
      virtualFunctionIndex: virtualFunction,
    })),
  }),
  'devices.vpciEnabled': ({ devices }) => ({ VPCIEnabled: devices?.vpciEnabled }),
  'console.pipe': ({ console }) => ({ ConsolePipe: console?.pipe }),
  'console.graphics': ({ console }) => ({ EnableGraphicsConsole: console?.graphics }),
  'hvSocket.serviceTable': ({ hvSocket }) => ({
    AdditionalHyperVConfig:
      hvSocket?.serviceTable &&
      Object.fromEntries(
        Object.entries(hvSocket.serviceTable).map(([key, service]) => [key, hvSocketOptions(service)]),
      ),
  }),
  'hvSocket.extraVsockPorts': ({ hvSocket }) => ({ ExtraVSockPorts: hvSocket?.extraVsockPorts }),

  'guest.useConnection': ({ guest }) => ({ UseGuestConnection: guest?.useConnection }),
  'guest.forwardStdout': ({ guest }) => ({ ForwardStdout: guest?.forwardStdout }),
  'guest.forwardStderr': ({ guest }) => ({ ForwardStderr: guest?.forwardStderr }),
  'guest.disableTimeSync': ({ guest }) => ({ DisableTimeSyncService: guest?.disableTimeSync }),
  'guest.policyBasedRouting': ({ guest }) => ({ PolicyBasedRouting: guest?.policyBasedRouting }),
  'guest.logLevel': ({ guest }) => ({ LogLevel: guest?.logLevel }),
  'guest.processDumpLocation': ({ guest }) => ({ ProcessDumpLocation: guest?.processDumpLocation }),
  'guest.scrubLogs': ({ guest }) => ({ ScrubLogs: guest?.scrubLogs }),
  'fileShares.disableWritable': ({ fileShares }) => ({ NoWritableFileShares: fileShares?.disableWritable }),
  'fileShares.shares': ({ fileShares }) => ({ Shares: fileShares?.shares }),

  'process.command': ({ process }) => ({ ProcessCommand: process?.command }),
  'process.env': ({ process }) => ({ ProcessEnvironment: process?.env?.map(({ name, value }) => `${name}=${value}`) }),
  'process.workingDirectory': ({ process }) => ({ ProcessWorkingDirectory: process?.workingDirectory }),
  'process.gracePeriodSeconds': ({ process }) => ({ ProcessGracePeriodSeconds: process?.gracePeriodSeconds }),

  'confidential.securityPolicy': policy,
  'confidential.securityPolicyFrom.configMapKeyRef.name': policy,
  'confidential.securityPolicyFrom.configMapKeyRef.key': policy,
  'confidential.isolation': (spec) => ({ SecurityPolicyEnabled: spec.confidential && isIsolated(spec) }),
  'confidential.enforcer': ({ confidential }) => ({ SecurityPolicyEnforcer: confidential?.enforcer }),
  'confidential.guestStateFile': ({ confidential }) => ({ GuestStateFilePath: confidential?.guestStateFile }),
  'confidential.dmVerityRootFSVhd': ({ confidential }) => ({ DmVerityRootFsVhd: confidential?.dmVerityRootFSVhd }),
  'confidential.dmVerityMode': (spec) => (isIsolated(spec) ? { DmVerityMode: spec.confidential?.dmVerityMode } : {}),
  'confidential.hclEnabled': ({ confidential }) => ({ HclEnabled: confidential?.hclEnabled }),
  'confidential.encryptScratch': ({ confidential }) => ({ EnableScratchEncryption: confidential?.encryptScratch }),
  'confidential.uvmReferenceInfoFile': ({ confidential }) => ({
    UVMReferenceInfoFile: confidential?.uvmReferenceInfoFile,
  }),
  'confidential.uvmHashEnvelopeReferenceInfoFile': ({ confidential }) => ({
    UVMHashEnvelopeReferenceInfoFile: confidential?.uvmHashEnvelopeReferenceInfoFile,
  }),

  terminateOnAgentExit: ({ terminateOnAgentExit }) => ({ TerminateOnAgentExit: terminateOnAgentExit }),
};

type ServiceTable = NonNullable<NonNullable<LinuxUtilityVMSpec['hvSocket']>['serviceTable']>;

function hvSocketOptions(service: ServiceTable[string]): z.infer<typeof hvSocketService> {
  return present({
    BindSecurityDescriptor: service.bindSecurityDescriptor,
    ConnectSecurityDescriptor: service.connectSecurityDescriptor,
    AllowWildcardBinds: service.allowWildcardBinds,
    Disabled: service.disabled,
  });
}

function not(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value;
}

/** Drops the members that are undefined: an option that nobody asked for is absent. */
function present<T extends object>(members: T): T {
  const copy = { ...members };
  for (const name in copy) if (copy[name] === undefined) delete copy[name];
  return copy;
}
