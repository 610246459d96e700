// `VirtualMachine.Devices` of an HCS document (hcs-documents §8). Members that the table does not list are refused.
import { z } from 'zod';
import { decimal, guid, i32, u8, u16, u32, u64 } from './schema-kinds.ts';

const text = z.string().optional();
const flag = z.boolean().optional();
const nothing = z.strictObject({});

export const attachment = z.strictObject({
  Type: z.enum(['VirtualDisk', 'PassThru', 'ExtensibleVirtualDisk', 'Iso']).optional(),
  Path: text,
  IgnoreFlushes: flag,
  CachingMode: text,
  NoWriteHardening: flag,
  DisableExpansionOptimization: flag,
  IgnoreRelativeLocator: flag,
  CaptureIoAttributionContext: flag,
  ReadOnly: flag,
  SupportCompressedVolumes: flag,
  AlwaysAllowSparseFiles: flag,
  ExtensibleVirtualDiskType: text,
});
export type Attachment = z.infer<typeof attachment>;

const imageFormat = z.enum(['Vhd1', 'Vhdx']).optional();

const virtualPMem = z.strictObject({
  Devices: z.record(decimal, z.strictObject({ HostPath: text, ReadOnly: flag, ImageFormat: imageFormat })).optional(),
  MaximumCount: u32.optional(),
  MaximumSizeBytes: u64.optional(),
  Backing: text,
});

export const virtualPciDevice = z.strictObject({
  Functions: z.array(z.strictObject({ DeviceInstancePath: text, VirtualFunction: u16.optional() })).optional(),
  PropagateNumaAffinity: z.boolean().nullish(),
});

export const hvSocketService = z.strictObject({
  BindSecurityDescriptor: text,
  ConnectSecurityDescriptor: text,
  AllowWildcardBinds: flag,
  Disabled: flag,
});

const hvSocket = z.strictObject({
  HvSocketConfig: z
    .strictObject({
      DefaultBindSecurityDescriptor: text,
      DefaultConnectSecurityDescriptor: text,
      ServiceTable: z.record(guid, hvSocketService).optional(),
    })
    .optional(),
});

export const plan9Share = z.strictObject({
  Name: text,
  AccessName: text,
  Path: text,
  Port: i32.optional(),
  Flags: i32.optional(),
  AllowedFiles: z.array(z.string()).optional(),
});

const rdp = z.strictObject({ AccessSids: z.array(z.string()).optional(), NamedPipe: text }).optional();

export const networkAdapter = z.strictObject({
  EndpointId: text,
  MacAddress: text,
  IovSettings: z
    .strictObject({
      OffloadWeight: u32.nullish(),
      QueuePairsRequested: u32.nullish(),
      InterruptModeration: z.enum(['Default', 'Adaptive', 'Off', 'Low', 'Medium', 'High']).nullish(),
    })
    .optional(),
});

const sharedMemoryRegion = z.strictObject({
  SectionName: text,
  StartOffset: i32.optional(),
  Length: i32.optional(),
  AllowGuestWrite: flag,
  HiddenFromGuest: flag,
});

const smbShare = z.strictObject({
  Name: text,
  Path: text,
  AllowedFiles: z.array(z.string()).optional(),
  Options: z.record(z.string(), z.boolean()).optional(),
});

const windowsCrash = z.strictObject({ DumpFileName: text, MaxDumpSize: u64.optional(), DumpType: text });

export const devices = z.strictObject({
  ComPorts: z.record(u8Key(), z.strictObject({ NamedPipe: text, OptimizeForDebugger: flag })).optional(),
  Scsi: z.record(z.string(), z.strictObject({ Attachments: z.record(decimal, attachment).optional() })).optional(),
  VirtualPMem: virtualPMem.optional(),
  NetworkAdapters: z.record(guid, networkAdapter).optional(),
  VideoMonitor: z
    .strictObject({
      HorizontalResolution: i32.optional(),
      VerticalResolution: i32.optional(),
      ConnectionOptions: rdp,
    })
    .optional(),
  Keyboard: nothing.optional(),
  Mouse: nothing.optional(),
  HvSocket: hvSocket.optional(),
  EnhancedModeVideo: z.strictObject({ ConnectionOptions: rdp }).optional(),
  GuestCrashReporting: z.strictObject({ WindowsCrashSettings: windowsCrash.optional() }).optional(),
  VirtualSmb: z
    .strictObject({ Shares: z.array(smbShare).optional(), DirectFileMappingInMB: u64.optional() })
    .optional(),
  Plan9: z.strictObject({ Shares: z.array(plan9Share).optional() }).optional(),
  Battery: nothing.optional(),
  FlexibleIov: z
    .record(
      z.string(),
      z.strictObject({ EmulatorId: text, HostingModel: text, Configuration: z.array(z.string()).optional() }),
    )
    .optional(),
  SharedMemory: z.strictObject({ Regions: z.array(sharedMemoryRegion).optional() }).optional(),
  VirtualPci: z.record(guid, virtualPciDevice).optional(),
});

/** COM ports are keyed by their number. */
function u8Key() {
  return decimal.refine((key) => u8.safeParse(Number(key)).success, { error: 'must be a port number' });
}
