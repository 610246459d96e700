// What a pod's annotations and OCI spec ask for, in the order in which hcsshim reads them
// (docs/reference/hcs-documents.md §9.3). An absent option has the default of the host. What is read does not depend on
// the host: options.ts applies it to the defaults of one.
import { parseGuid } from '../agent/document/guid.ts';
import { type LinuxOptionChanges, RootFsType } from '../agent/document/options.ts';
import { DocumentError } from '../agent/document/outcome.ts';
import { quoteText } from '../agent/document/quoted-text.ts';
import { readDevices } from './devices.ts';
import { Key } from './keys.ts';
import { expandAnnotations, withRuntimeOptions } from './pod.ts';
import type { AnnotationReader, AnnotationWarning, IgnoredAnnotation } from './reader.ts';
import { readServiceTable } from './service-table.ts';
import type { OciResources, OciSpec, RuntimeOptions } from './spec.ts';

/** `BootFilesPath` is the text as given. */
export type GivenOptions = LinuxOptionChanges & {
  /** A development machine: a policy does not isolate the VM. */
  readonly NoSecurityHardware?: boolean | undefined;
};

export type Reading =
  | {
      readonly kind: 'given';
      readonly given: GivenOptions;
      /** All annotations after §9.2, with those that runtime options and other annotations have set. */
      readonly annotations: ReadonlyMap<string, string>;
      readonly warnings: readonly AnnotationWarning[];
      readonly ignored: readonly IgnoredAnnotation[];
    }
  /** hcsshim creates no pod. */
  | { readonly kind: 'refused'; readonly message: string; readonly warnings: readonly AnnotationWarning[] };

export function readAnnotations(spec: OciSpec, options: RuntimeOptions = {}): Reading {
  const { conflicts, reader } = expandAnnotations(withRuntimeOptions(spec, options));
  const refused = (message: string): Reading => ({ kind: 'refused', message, warnings: reader.warnings });
  if (conflicts.length > 0) return refused(`unable to process OCI Spec annotations: ${conflicts.join('\n')}`);
  if (!isPresent(spec.linux)) {
    return refused(
      isPresent(spec.windows?.hyperv)
        ? 'the spec is that of a Windows VM: it has windows.hyperv, and no section linux'
        : 'cannot create UVM opts for non-isolated spec',
    );
  }
  try {
    let given: GivenOptions = {};
    for (const step of steps) given = { ...given, ...step(reader, spec) };
    return {
      kind: 'given',
      given,
      annotations: new Map(reader.entries()),
      warnings: reader.warnings,
      ignored: reader.ignored,
    };
  } catch (error) {
    if (error instanceof DocumentError) return refused(error.message);
    throw error;
  }
}

function isPresent<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

type Step = (reader: AnnotationReader, spec: OciSpec) => GivenOptions;

/** The numbers are those of §9.3. */
const steps: readonly Step[] = [
  // 1 to 6
  (reader, spec) => ({ MemorySizeInMB: annotatedMemory(reader) ?? ociMemoryInMB(spec) }),
  (reader) => ({ LowMMIOGapInMB: reader.uint64(Key.LowMMIOGapInMB) }),
  (reader) => ({ HighMMIOBaseInMB: reader.uint64(Key.HighMMIOBaseInMB) }),
  (reader) => ({ HighMMIOGapInMB: reader.uint64(Key.HighMMIOGapInMB) }),
  (reader) => ({ AllowOvercommit: reader.bool(Key.AllowOvercommit) }),
  (reader) => ({ EnableDeferredCommit: reader.bool(Key.EnableDeferredCommit) }),
  // 7 to 11
  limited('ProcessorCount', ({ cpu }) => cpu?.count),
  limited('ProcessorLimit', ({ cpu }) => cpu?.maximum),
  limited('ProcessorWeight', ({ cpu }) => cpu?.shares),
  limited('StorageQoSBandwidthMaximum', ({ storage }) => storage?.bps),
  limited('StorageQoSIopsMaximum', ({ storage }) => storage?.iops),
  // 12 to 17
  (reader) => ({ CPUGroupID: reader.text(Key.CPUGroupID) }),
  (reader) => ({ NetworkConfigProxy: reader.text(Key.NetworkConfigProxy) }),
  (reader) => ({ ProcessDumpLocation: reader.text(Key.ProcessDumpLocation) }),
  (reader) => ({ NoWritableFileShares: reader.bool(Key.NoWritableFileShares) }),
  (reader) => ({ DumpDirectoryPath: reader.text(Key.DumpDirectoryPath) }),
  (reader) => ({ ConsolePipe: reader.text(Key.ConsolePipe) }),
  // 18 to 23
  (reader) => ({ MaxProcessorsPerNumaNode: reader.uint32(Key.MaxProcessorsPerNumaNode) }),
  (reader) => ({ MaxMemorySizePerNumaNode: reader.uint64(Key.MaxMemorySizePerNumaNode) }),
  (reader) => ({ PreferredPhysicalNumaNodes: reader.uint32List(Key.PreferredPhysicalNumaNodes) }),
  (reader) => ({ NumaMappedPhysicalNodes: reader.uint32List(Key.NumaMappedPhysicalNodes) }),
  (reader) => ({ NumaProcessorCounts: reader.uint32List(Key.NumaProcessorCounts) }),
  (reader) => ({ NumaMemoryBlocksCounts: reader.uint64List(Key.NumaMemoryBlocksCounts) }),
  // 24, 25
  (reader) => ({ AdditionalHyperVConfig: readServiceTable(reader) }),
  (reader) => ({ ResourcePartitionID: readGuid(reader, Key.ResourcePartitionID) }),
  // 26 to 31
  (reader) => ({ EnableColdDiscardHint: reader.bool(Key.EnableColdDiscardHint) }),
  (reader) => ({ VPMemDeviceCount: reader.uint32(Key.VPMemDeviceCount) }),
  (reader) => ({ VPMemSizeBytes: reader.uint64(Key.VPMemSizeBytes) }),
  (reader) => ({ VPMemNoMultiMapping: reader.bool(Key.VPMemNoMultiMapping) }),
  (reader) => ({ VPCIEnabled: reader.bool(Key.VPCIEnabled) }),
  (reader) => ({ ExtraVSockPorts: reader.uint32List(Key.ExtraVSockPorts) }),
  // 32 to 36
  (reader) => ({ BootFilesPath: reader.text(Key.BootFilesPath) }),
  (reader) => ({ EnableScratchEncryption: reader.bool(Key.EnableScratchEncryption) }),
  (reader) => ({ SecurityPolicy: reader.text(Key.SecurityPolicy) }),
  (reader) => ({ SecurityPolicyEnforcer: reader.text(Key.SecurityPolicyEnforcer) }),
  (reader) => ({ UVMReferenceInfoFile: reader.text(Key.UVMReferenceInfoFile) }),
  // 38 to 43
  (reader) => ({ KernelBootOptions: reader.text(Key.KernelBootOptions) }),
  (reader) => ({ DisableTimeSyncService: reader.bool(Key.DisableTimeSyncService) }),
  (reader) => ({ WritableOverlayDirs: reader.bool(Key.WritableOverlayDirs) }),
  (reader) => ({ PreferredRootFSType: readRootType(reader) }),
  (reader) => ({ KernelDirect: reader.bool(Key.KernelDirect) }),
  (reader) => ({ FullyPhysicallyBacked: reader.bool(Key.FullyPhysicallyBacked) }),
  // 45
  (reader) => ({ NoSecurityHardware: reader.bool(Key.NoSecurityHardware) }),
  // Read a second time with a policy, so that a bad value causes two warnings.
  (reader) =>
    reader.text(Key.SecurityPolicy) ? { EnableScratchEncryption: reader.bool(Key.EnableScratchEncryption) } : {},
  // 46 to 52
  (reader) => ({ GuestStateFilePath: reader.text(Key.GuestStateFilePath) }),
  (reader) => ({ DmVerityRootFsVhd: reader.text(Key.DmVerityRootFsVhd) }),
  (reader) => ({ DmVerityMode: reader.bool(Key.DmVerityMode) }),
  (reader) => ({ DmVerityCreateArgs: reader.text(Key.DmVerityCreateArgs) }),
  (reader) => ({ HclEnabled: reader.bool(Key.HclEnabled) }),
  (reader, { windows }) => ({ AssignedDevices: readDevices(reader, windows?.devices ?? []) }),
  (reader) => ({ PolicyBasedRouting: reader.bool(Key.PolicyBasedRouting) }),
];

type LimitedOption =
  | 'ProcessorCount'
  | 'ProcessorLimit'
  | 'ProcessorWeight'
  | 'StorageQoSBandwidthMaximum'
  | 'StorageQoSIopsMaximum';

/** The annotation, else the value of the OCI spec, else the default. 0 is never a value here. */
function limited(option: LimitedOption, ociValue: (resources: OciResources) => bigint | null | undefined): Step {
  return (reader, { windows }) => {
    const annotated = reader.int32(Key[option]);
    if (annotated !== undefined && annotated !== 0) return { [option]: annotated };
    if (annotated === 0) ignoreZero(reader, Key[option]);
    const given = ociValue(windows?.resources ?? {}) ?? 0n;
    // The original truncates after it has compared.
    return given > 0n ? { [option]: Number(BigInt.asIntN(32, given)) } : {};
  };
}

function ignoreZero(reader: AnnotationReader, key: string): void {
  reader.ignore(key, reader.text(key) ?? '', 'it takes 0 as if the annotation were absent', false);
}

function annotatedMemory(reader: AnnotationReader): bigint | undefined {
  const annotated = reader.uint64(Key.MemorySizeInMB);
  if (annotated === 0n) ignoreZero(reader, Key.MemorySizeInMB);
  return nonZero(annotated);
}

function ociMemoryInMB({ windows }: OciSpec): bigint | undefined {
  const bytes = nonZero(windows?.resources?.memory?.limit);
  return bytes === undefined ? undefined : bytes / 1024n / 1024n;
}

function nonZero(value: bigint | null | undefined): bigint | undefined {
  return value === 0n ? undefined : (value ?? undefined);
}

/** The only value that fails the pod. */
function readGuid(reader: AnnotationReader, key: string): string | undefined {
  const text = reader.text(key);
  if (text === undefined) return undefined;
  try {
    return parseGuid(text);
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    const problem = `failed to parse annotation ${quoteText(key)} with value ${quoteText(text)} as GUID`;
    throw new DocumentError(error.code, `${problem}: ${error.message}`);
  }
}

function readRootType(reader: AnnotationReader): number | undefined {
  const value = reader.text(Key.PreferredRootFSType);
  if (value === undefined) return undefined;
  if (value === 'initrd') return RootFsType.InitRd;
  if (value === 'vhd') return RootFsType.Vhd;
  reader.warn("annotation value must be 'initrd' or 'vhd'", { annotation: Key.PreferredRootFSType, value });
  reader.ignore(Key.PreferredRootFSType, value, 'the value is not initrd or vhd');
  return undefined;
}
