// The keys that hcsshim's Linux pods know (docs/reference/hcs-documents.md §9.2 to §9.5).

/** Begins the key of every option of a VM, with two exceptions. */
export const vmPrefix = 'io.microsoft.virtualmachine.';

export const Key = {
  MemorySizeInMB: `${vmPrefix}computetopology.memory.sizeinmb`,
  LowMMIOGapInMB: `${vmPrefix}computetopology.memory.lowmmiogapinmb`,
  HighMMIOBaseInMB: `${vmPrefix}computetopology.memory.highmmiobaseinmb`,
  HighMMIOGapInMB: `${vmPrefix}computetopology.memory.highmmiogapinmb`,
  AllowOvercommit: `${vmPrefix}computetopology.memory.allowovercommit`,
  EnableDeferredCommit: `${vmPrefix}computetopology.memory.enabledeferredcommit`,
  EnableColdDiscardHint: `${vmPrefix}computetopology.memory.enablecolddiscardhint`,
  FullyPhysicallyBacked: `${vmPrefix}fullyphysicallybacked`,
  ProcessorCount: `${vmPrefix}computetopology.processor.count`,
  ProcessorLimit: `${vmPrefix}computetopology.processor.limit`,
  ProcessorWeight: `${vmPrefix}computetopology.processor.weight`,
  CPUGroupID: `${vmPrefix}cpugroup.id`,
  ResourcePartitionID: `${vmPrefix}resource-partition-id`,
  MaxProcessorsPerNumaNode: `${vmPrefix}computetopology.processor.numa.max-processors-per-node`,
  MaxMemorySizePerNumaNode: `${vmPrefix}computetopology.processor.numa.max-size-per-node`,
  PreferredPhysicalNumaNodes: `${vmPrefix}computetopology.numa.preferred-physical-nodes`,
  NumaMappedPhysicalNodes: `${vmPrefix}computetopology.numa.mapped-physical-nodes`,
  NumaProcessorCounts: `${vmPrefix}computetopology.numa.count-of-processors`,
  NumaMemoryBlocksCounts: `${vmPrefix}computetopology.numa.count-of-memory-blocks`,
  StorageQoSBandwidthMaximum: `${vmPrefix}storageqos.bandwidthmaximum`,
  StorageQoSIopsMaximum: `${vmPrefix}storageqos.iopsmaximum`,
  VPMemDeviceCount: `${vmPrefix}devices.virtualpmem.maximumcount`,
  VPMemSizeBytes: `${vmPrefix}devices.virtualpmem.maximumsizebytes`,
  VPMemNoMultiMapping: `${vmPrefix}lcow.vpmem.nomultimapping`,
  VPCIEnabled: `${vmPrefix}lcow.vpcienabled`,
  ConsolePipe: `${vmPrefix}console.pipe`,
  HvSocketServicePrefix: `${vmPrefix}hv-socket.service-table.`,
  ExtraVSockPorts: `${vmPrefix}lcow.extra-vsock-ports`,
  BootFilesPath: `${vmPrefix}lcow.bootfilesrootpath`,
  PreferredRootFSType: `${vmPrefix}lcow.preferredrootfstype`,
  KernelDirect: `${vmPrefix}lcow.kerneldirectboot`,
  KernelBootOptions: `${vmPrefix}lcow.kernelbootoptions`,
  WritableOverlayDirs: `${vmPrefix}lcow.writable-overlay-directories`,
  DisableTimeSyncService: `${vmPrefix}lcow.timesync.disable`,
  PolicyBasedRouting: `${vmPrefix}lcow.network.policybasedrouting`,
  ProcessDumpLocation: 'io.microsoft.container.processdumplocation',
  DumpDirectoryPath: `${vmPrefix}dump-directory-path`,
  NetworkConfigProxy: 'io.microsoft.network.ncproxy',
  NoWritableFileShares: `${vmPrefix}fileshares.disablewritable`,
  EnableScratchEncryption: `${vmPrefix}storage.scratch.encrypted`,
  SecurityPolicy: `${vmPrefix}lcow.securitypolicy`,
  SecurityPolicyEnforcer: `${vmPrefix}lcow.enforcer`,
  NoSecurityHardware: `${vmPrefix}no_security_hardware`,
  UVMReferenceInfoFile: `${vmPrefix}lcow.uvm-reference-info-file`,
  GuestStateFilePath: `${vmPrefix}lcow.gueststatefile`,
  DmVerityRootFsVhd: `${vmPrefix}lcow.dmverity-rootfs-vhd`,
  DmVerityMode: `${vmPrefix}lcow.dmverity-mode`,
  DmVerityCreateArgs: `${vmPrefix}lcow.dmverity-create-args`,
  HclEnabled: `${vmPrefix}lcow.hcl-enabled`,
} as const;

/** Keys that are read before the conversion, and that no option of a VM has. */
export const PodKey = {
  DisableUnsafeOperations: 'io.microsoft.disable-unsafe-operations',
  DisableGMSA: 'io.microsoft.container.wcow.gmsa.disable',
  VirtualSMBNoDirectMap: `${vmPrefix}wcow.virtualSMB.nodirectmap`,
  DisableHostProcess: 'microsoft.com/disable-hostprocess-container',
  HostProcess: 'microsoft.com/hostprocess-container',
} as const;

/** Keys whose value is copied to other keys, in this order (§9.2). */
export const expansions: readonly (readonly [key: string, targets: readonly string[]])[] = [
  [
    PodKey.DisableUnsafeOperations,
    [PodKey.DisableGMSA, Key.NoWritableFileShares, PodKey.VirtualSMBNoDirectMap, PodKey.DisableHostProcess],
  ],
];
