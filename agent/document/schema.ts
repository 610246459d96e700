// The members of the HCS document that a Linux utility VM uses, in the order in which they are written
// (docs/reference/hcs-documents.md §8, the bold ones). An undefined member is not written.
import type { RawJson, Uint64 } from './json-numbers.ts';
import type { ServiceTable } from './service-table.ts';

export type { RawJson, Uint64 };

type Optional<T> = T | undefined;

/** An object that is written as `{}`. */
export type Empty = Readonly<Record<never, never>>;

export interface ComputeSystem {
  readonly Owner: Optional<string>;
  readonly SchemaVersion: { readonly Major: number; readonly Minor: number };
  readonly VirtualMachine: VirtualMachine;
  readonly ShouldTerminateOnLastHandleClosed: Optional<boolean>;
}

export interface VirtualMachine {
  readonly StopOnReset: boolean;
  readonly Chipset: Chipset;
  readonly ComputeTopology: Topology;
  readonly Devices: Devices;
  readonly GuestState?: Optional<GuestState>;
  readonly StorageQoS: Optional<StorageQoS>;
  readonly SecuritySettings?: Optional<SecuritySettings>;
  /** Later upstream. */
  readonly ResourcePartitionId?: Optional<string>;
}

export interface Chipset {
  readonly Uefi?: Uefi;
  readonly LinuxKernelDirect?: LinuxKernelDirect;
}

export interface Uefi {
  readonly ApplySecureBootTemplate?: string;
  readonly SecureBootTemplateId?: string;
  readonly BootThis?: UefiBootEntry;
}

export interface UefiBootEntry {
  readonly DeviceType: string;
  readonly DevicePath: string;
  readonly OptionalData: string;
  readonly VmbFsRootPath: Optional<string>;
}

export interface LinuxKernelDirect {
  readonly KernelFilePath: Optional<string>;
  readonly InitRdPath: Optional<string>;
  readonly KernelCmdLine: string;
}

export interface Topology {
  readonly Memory: Memory;
  readonly Processor: Processor;
  readonly Numa?: Optional<Numa>;
}

export interface Memory {
  readonly SizeInMB: Optional<Uint64>;
  readonly AllowOvercommit: Optional<boolean>;
  readonly EnableColdDiscardHint: Optional<boolean>;
  readonly EnableDeferredCommit: Optional<boolean>;
  readonly LowMmioGapInMB: Optional<Uint64>;
  readonly HighMmioBaseInMB: Optional<Uint64>;
  readonly HighMmioGapInMB: Optional<Uint64>;
  readonly SlitType: Optional<string>;
}

export interface Processor {
  readonly Count: Optional<number>;
  readonly Limit: Optional<Uint64>;
  readonly Weight: Optional<Uint64>;
  readonly CpuGroup: Optional<{ readonly Id: string }>;
  readonly NumaProcessorsSettings?: Optional<NumaProcessors>;
}

/** Snake case in the schema itself (quirk 4). */
export interface NumaProcessors {
  readonly count_per_node: { readonly max: number };
}

export interface Numa {
  readonly VirtualNodeCount: Optional<number>;
  readonly PreferredPhysicalNodes: Optional<readonly number[]>;
  readonly Settings: Optional<readonly NumaSetting[]>;
  readonly MaxSizePerNode: Optional<Uint64>;
}

export interface NumaSetting {
  readonly VirtualNodeNumber: Optional<number>;
  readonly PhysicalNodeNumber: Optional<number>;
  readonly VirtualSocketNumber: Optional<number>;
  readonly CountOfProcessors: Optional<number>;
  readonly CountOfMemoryBlocks: Optional<Uint64>;
  readonly MemoryBackingType: string;
}

export interface Devices {
  readonly ComPorts?: Optional<Readonly<Record<string, { readonly NamedPipe: string }>>>;
  readonly Scsi: Optional<Readonly<Record<string, ScsiController>>>;
  readonly VirtualPMem?: Optional<VirtualPMemController>;
  readonly VideoMonitor?: Optional<Empty>;
  readonly Keyboard?: Optional<Empty>;
  readonly HvSocket: { readonly HvSocketConfig: HvSocketConfig };
  readonly EnhancedModeVideo?: Optional<Empty>;
  readonly Plan9: Empty;
  readonly VirtualPci?: Optional<Readonly<Record<string, VirtualPciDevice>>>;
}

export interface ScsiController {
  readonly Attachments?: Readonly<Record<string, Attachment>>;
}

export interface Attachment {
  readonly Type: string;
  readonly Path: string;
  readonly ReadOnly: boolean;
}

export interface VirtualPMemController {
  readonly Devices: Optional<Readonly<Record<string, VirtualPMemDevice>>>;
  readonly MaximumCount: number;
  readonly MaximumSizeBytes: Optional<Uint64>;
}

export interface VirtualPMemDevice {
  readonly HostPath: string;
  readonly ReadOnly: boolean;
  readonly ImageFormat: string;
}

export interface HvSocketConfig {
  readonly DefaultBindSecurityDescriptor: string;
  readonly DefaultConnectSecurityDescriptor?: string;
  readonly ServiceTable: Optional<ServiceTable>;
}

export interface VirtualPciDevice {
  readonly Functions: readonly {
    readonly DeviceInstancePath: Optional<string>;
    readonly VirtualFunction: Optional<number>;
  }[];
  readonly PropagateNumaAffinity: Optional<boolean>;
}

export interface GuestState {
  readonly GuestStateFilePath: Optional<string>;
  readonly GuestStateFileType: string;
  readonly ForceTransientState: boolean;
}

export interface SecuritySettings {
  readonly Isolation: {
    readonly IsolationType: string;
    readonly LaunchData: string;
    readonly HclEnabled: Optional<boolean>;
  };
}

export interface StorageQoS {
  readonly IopsMaximum: Optional<number>;
  readonly BandwidthMaximum: Optional<number>;
}
