// The fixed values of the documents (docs/reference/hcs-documents.md §0.6, §0.7). Each literal is defined here once.

/** Windows builds at which behaviour changes (§0.7). */
export const Build = {
  /** RS5, Server 2019: without VPMem a VM gets all four SCSI controllers (§10 step 5). */
  FourScsiControllers: 17763,
  KernelDirect: 18286,
  /** 1903: several layers share one VPMem device by default. */
  VPMemMultiMapping: 18362,
  ColdDiscardHint: 18967,
  /** 21H1: a CPU group can be given at creation. */
  CpuGroupAtCreation: 19043,
  /** Server 2025: vNUMA, and NUMA affinity of assigned devices. */
  VirtualNuma: 26100,
} as const;

/** File names in a boot folder (§2.1). */
export const BootFile = {
  Kernel: 'kernel',
  UncompressedKernel: 'vmlinux',
  InitRd: 'initrd.img',
  RootVhd: 'rootfs.vhd',
  GuestState: 'kernel.vmgs',
  ReferenceInfo: 'reference_info.cose',
  ReferenceInfoHashEnvelope: 'reference_info_hash_envelope.cose',
} as const;

/**
 * The SCSI controllers' GUIDs by index: version-5 GUIDs of "0"…"3" in namespace d422512d-2bf2-4752-809d-7b82b5fcb1b4.
 * Literal, because HCS and the guest know the controllers by these values.
 */
export const scsiControllerGuids = [
  'df6d0690-79e5-55b6-a5ec-c1e2f77f580a',
  '0110f83b-de10-5172-a266-78bca56bf50a',
  'b5d2d8d4-3a75-51bf-945b-3444dc6b8579',
  '305891a9-b251-5dfe-91a2-c25d9212275b',
] as const;

export const Limit = {
  ScsiControllers: scsiControllerGuids.length,
  VPMemDevices: 128,
  VPMemPageBytes: 4096,
  /** The pool from which a multi-mapped root VHD gets its space (§6.13). */
  VPMemPoolBytes: 4294967296,
  /** Highest vNUMA node number, in the original's check and in its message (§5.2). */
  NumaNode: 64,
} as const;

/** vsock ports of the guest (§0.6). The reference has no name for `SecondGuestService`, but §7.3 lists it. */
export const VsockPort = {
  Entropy: 1,
  Log: 109,
  GuestService: 0x4000_0000,
  SecondGuestService: 0x4000_0001,
} as const;

/** Appended to a vsock port of eight hex digits, this makes the port's service GUID. */
export const vsockServiceGuidTail = '-facb-11e6-bd58-64006a7986d3';

export const SecurityDescriptor = {
  SystemAndAdministrators: 'D:P(A;;FA;;;SY)(A;;FA;;;BA)',
  Everyone: 'D:P(A;;FA;;;WD)',
} as const;

export const secureBootTemplateId = '1734c6e8-3154-4dda-ba5f-a874cc483422';

/** GENERIC_ALL, the access of the VM group to staged copies (§7.4). */
export const genericAll = 0x1000_0000;

/** The physical node number that lets the host choose (§5.2). */
export const wildcardNumaNode = 255;

export const Default = {
  MemorySizeInMB: 1024n,
  ScsiControllers: 1,
  VPMemDevices: 64,
  VPMemSizeBytes: 4294967296n,
} as const;

/** The null CPU group. A running VM changes its group only by joining this one first. */
export const nullGroup = '00000000-0000-0000-0000-000000000000';
