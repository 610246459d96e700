// The members of the HCS document that a Linux utility VM uses, in the order in which they are written
// (docs/reference/hcs-documents.md §8, the bold ones). An absent member is not written. Sections with many optional
// members are built member by member in this order: undefined members would cost the serialiser a tenth of its time.
import type { Uint64 } from './json-numbers.ts';
import type { ServiceTable } from './service-table.ts';

type Optional<T> = T | undefined;

/** A section under construction. */
export type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

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
  readonly GuestState?: GuestState;
  readonly StorageQoS?: StorageQoS;
  readonly SecuritySettings?: SecuritySettings;
  /** Later upstream. */
  readonly ResourcePartitionId?: string;
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
  readonly KernelFilePath?: string;
  readonly InitRdPath?: string;
  readonly KernelCmdLine?: string;
}

export interface Topology {
  readonly Memory: Memory;
  readonly Processor: Processor;
  readonly Numa?: Numa;
}

export interface Memory {
  readonly SizeInMB?: Uint64;
  readonly AllowOvercommit?: boolean;
  readonly EnableColdDiscardHint?: boolean;
  readonly EnableDeferredCommit?: boolean;
  readonly LowMmioGapInMB?: Uint64;
  readonly HighMmioBaseInMB?: Uint64;
  readonly HighMmioGapInMB?: Uint64;
  readonly SlitType?: string;
}

export interface Processor {
  readonly Count?: number;
  readonly Limit?: Uint64;
  readonly Weight?: Uint64;
  readonly CpuGroup?: { readonly Id: string };
  readonly NumaProcessorsSettings?: NumaProcessors;
}

/** The schema itself uses snake case here (quirk 4). */
export interface NumaProcessors {
  readonly count_per_node: { readonly max: number };
}

export interface Numa {
  readonly VirtualNodeCount?: number;
  readonly PreferredPhysicalNodes?: readonly number[];
  readonly Settings?: readonly NumaSetting[];
  readonly MaxSizePerNode?: Uint64;
}

export interface NumaSetting {
  readonly VirtualNodeNumber?: number;
  readonly PhysicalNodeNumber?: number;
  readonly VirtualSocketNumber?: number;
  readonly CountOfProcessors?: number;
  readonly CountOfMemoryBlocks?: Uint64;
  readonly MemoryBackingType?: string;
}

export interface Devices {
  readonly ComPorts?: Readonly<Record<string, { readonly NamedPipe: string }>>;
  readonly Scsi?: Readonly<Record<string, ScsiController>>;
  readonly VirtualPMem?: VirtualPMemController;
  readonly VideoMonitor?: Empty;
  readonly Keyboard?: Empty;
  readonly HvSocket?: { readonly HvSocketConfig: HvSocketConfig };
  readonly EnhancedModeVideo?: Empty;
  readonly Plan9?: Empty;
  readonly VirtualPci?: Readonly<Record<string, VirtualPciDevice>>;
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
  readonly Devices?: Readonly<Record<string, VirtualPMemDevice>>;
  readonly MaximumCount?: number;
  readonly MaximumSizeBytes?: Uint64;
}

export interface VirtualPMemDevice {
  readonly HostPath: string;
  readonly ReadOnly: boolean;
  readonly ImageFormat: string;
}

export interface HvSocketConfig {
  readonly DefaultBindSecurityDescriptor: string;
  readonly DefaultConnectSecurityDescriptor?: string;
  readonly ServiceTable?: Optional<ServiceTable>;
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
