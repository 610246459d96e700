// The schema of an HCS document, as strict as HCS (hcs-documents §8): unknown members and wrong types are refused.
// admission.ts decides what happens with a well-formed document.
import { z } from 'zod';
import { devices } from './device-schema.ts';
import { guid, i32, i64, u8, u32, u64 } from './schema-kinds.ts';

const text = z.string().optional();
const flag = z.boolean().optional();

const version = z.strictObject({ Major: i32.optional(), Minor: i32.optional() });

const bootEntry = z.strictObject({
  DeviceType: z.enum(['ScsiDrive', 'VmbFs', 'Network', 'File']).optional(),
  DevicePath: text,
  DiskNumber: i32.optional(),
  OptionalData: text,
  VmbFsRootPath: text,
});

const uefi = z.strictObject({
  EnableDebugger: flag,
  ApplySecureBootTemplate: z.enum(['Skip', 'Apply']).optional(),
  SecureBootTemplateId: text,
  BootThis: bootEntry.optional(),
  Console: text,
});

const chipset = z.strictObject({
  Uefi: uefi.optional(),
  IsNumLockDisabled: flag,
  BaseBoardSerialNumber: text,
  ChassisSerialNumber: text,
  ChassisAssetTag: text,
  UseUtc: flag,
  LinuxKernelDirect: z.strictObject({ KernelFilePath: text, InitRdPath: text, KernelCmdLine: text }).optional(),
  FirmwareFile: z.strictObject({ Parameters: z.base64().optional() }).optional(),
});

const memoryBacking = z.enum(['Physical', 'Virtual', 'Hybrid']);

const memory = z.strictObject({
  SizeInMB: u64.optional(),
  Backing: memoryBacking.nullish(),
  AllowOvercommit: flag,
  EnableHotHint: flag,
  EnableColdHint: flag,
  EnableColdDiscardHint: flag,
  EnableDeferredCommit: flag,
  LowMmioGapInMB: u64.optional(),
  HighMmioBaseInMB: u64.optional(),
  HighMmioGapInMB: u64.optional(),
  SlitType: z.enum(['None', 'Firmware', 'Measured', 'FirmwareFallbackMeasured']).nullish(),
});

export const cpuGroup = z.strictObject({ Id: guid.optional() });

const processor = z.strictObject({
  Count: u32.optional(),
  Limit: u64.optional(),
  Weight: u64.optional(),
  Reservation: u64.optional(),
  CpuGroup: cpuGroup.optional(),
  NumaProcessorsSettings: z
    .strictObject({
      count_per_node: z.strictObject({ max: u32.optional() }).optional(),
      node_per_socket: u32.optional(),
    })
    .optional(),
});

const numaSetting = z.strictObject({
  VirtualNodeNumber: u32.optional(),
  PhysicalNodeNumber: u32.optional(),
  VirtualSocketNumber: u32.optional(),
  CountOfProcessors: u32.optional(),
  CountOfMemoryBlocks: u64.optional(),
  MemoryBackingType: memoryBacking.optional(),
});

const topology = z.strictObject({
  Memory: memory.optional(),
  Processor: processor.optional(),
  Numa: z
    .strictObject({
      VirtualNodeCount: u8.optional(),
      PreferredPhysicalNodes: z.array(i64).optional(),
      Settings: z.array(numaSetting).optional(),
      MaxSizePerNode: u64.optional(),
    })
    .optional(),
});

const guestState = z.strictObject({
  GuestStateFilePath: text,
  GuestStateFileType: z.enum(['FileMode', 'BlockStorage', 'FirmwareMode']).optional(),
  RuntimeStateFilePath: text,
  ForceTransientState: flag,
});

const securitySettings = z.strictObject({
  EnableTpm: flag,
  Isolation: z
    .strictObject({
      IsolationType: z
        .enum(['None', 'VirtualizationBasedSecurity', 'SecureNestedPaging', 'GuestStateOnly', 'TrustDomain'])
        .optional(),
      DebugHost: text,
      DebugPort: i64.optional(),
      LaunchData: z.base64().optional(),
      HclEnabled: z.boolean().nullish(),
    })
    .optional(),
});

const registryKey = z.strictObject({
  Hive: z.enum(['System', 'Software', 'Security', 'Sam']).optional(),
  Name: text,
  Volatile: flag,
});

const registryValue = z.strictObject({
  Key: registryKey.optional(),
  Name: text,
  Type: z
    .enum(['None', 'String', 'ExpandedString', 'MultiString', 'Binary', 'DWord', 'QWord', 'CustomType'])
    .optional(),
  StringValue: text,
  BinaryValue: text,
  DWordValue: i32.optional(),
  QWordValue: i32.optional(),
  CustomType: i32.optional(),
});

const virtualMachine = z.strictObject({
  Version: version.optional(),
  StopOnReset: flag,
  Chipset: chipset.optional(),
  ComputeTopology: topology.optional(),
  Devices: devices.optional(),
  GuestState: guestState.optional(),
  RestoreState: z.strictObject({ SaveStateFilePath: text, TemplateSystemId: text }).optional(),
  RegistryChanges: z
    .strictObject({ AddValues: z.array(registryValue).optional(), DeleteKeys: z.array(registryKey).optional() })
    .optional(),
  StorageQoS: z.strictObject({ IopsMaximum: i32.optional(), BandwidthMaximum: i32.optional() }).optional(),
  DebugOptions: z
    .strictObject({
      BugcheckSavedStateFileName: text,
      BugcheckNoCrashdumpSavedStateFileName: text,
      TripleFaultSavedStateFileName: text,
      FirmwareDumpFileName: text,
    })
    .optional(),
  GuestConnection: z.strictObject({ UseVsock: flag, UseConnectedSuspend: flag }).optional(),
  SecuritySettings: securitySettings.optional(),
  ResourcePartitionId: guid.optional(),
});

export const computeSystem = z.strictObject({
  Owner: text,
  SchemaVersion: version.optional(),
  HostingSystemId: text,
  ShouldTerminateOnLastHandleClosed: flag,
  VirtualMachine: virtualMachine.optional(),
});
export type ComputeSystemDocument = z.infer<typeof computeSystem>;
