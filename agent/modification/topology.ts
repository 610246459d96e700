// Changes of a running VM's memory and processors (hcs-runtime B.6).
import { nullGroup } from '../document/constants.ts';
import { type Uint64, unlessEmpty } from '../document/json-numbers.ts';
import { type ChangeTarget, type HostModification, modifyDocument } from './document.ts';

const topology = 'VirtualMachine/ComputeTopology';

/** The first build on which HCS accepts processor limits of a running VM. */
export const processorLimitsSince = 19042;

/** Rounded up to an even number of MiB, as at creation. */
export function memorySize(sizeInMB: number): HostModification {
  return unroundedMemorySize(sizeInMB + (sizeInMB % 2));
}

/** Cut to whole MiB, then rounded up. Unsigned 64 bits. */
export function memorySizeOfBytes(sizeInBytes: bigint): HostModification {
  return memorySize(Number(sizeInBytes >> 20n));
}

/** Not rounded, like the original's newer VM manager. */
export function unroundedMemorySize(sizeInMB: Uint64): HostModification {
  return { resourcePath: `${topology}/Memory/SizeInMB`, settings: sizeInMB };
}

/** Absent and 0 mean the same. */
export interface ProcessorLimits {
  readonly limit?: Uint64;
  readonly weight?: Uint64;
  readonly reservation?: Uint64;
  readonly maximumFrequencyMHz?: number;
}

export function processorLimits(limits: ProcessorLimits): HostModification {
  const settings = {
    Limit: limits.limit || undefined,
    Weight: limits.weight || undefined,
    Reservation: limits.reservation || undefined,
    MaximumFrequencyMHz: unlessEmpty(limits.maximumFrequencyMHz ?? 0),
  };
  return { resourcePath: `${topology}/Processor/Limits`, settings };
}

/** Throws on a build whose HCS does not accept limits. */
export function processorLimitsOn(build: number, limits: ProcessorLimits): HostModification {
  if (build < processorLimitsSince) throw new Error('not implemented');
  return processorLimits(limits);
}

/** The id is passed on unchanged. */
export function processorGroup(id: string): HostModification {
  if (id === '') throw new RangeError("must specify an ID to use when configuring a VM's cpugroup");
  return { resourcePath: `${topology}/Processor/CpuGroup`, settings: { Id: id } };
}

export async function leaveProcessorGroup(systemID: string, target: ChangeTarget): Promise<void> {
  try {
    await target.host(modifyDocument(processorGroup(nullGroup)));
  } catch (error) {
    throw new Error(`failed to remove VM ${systemID} from cpugroup`, { cause: error });
  }
}
