// Changes of a running VM's memory and processors (hcs-runtime B.6).
import type { Uint64 } from '../../document/json-numbers.ts';
import type { HostModification } from './document.ts';

const topology = 'VirtualMachine/ComputeTopology';

/** The first build on which HCS takes limits of a running VM. */
export const processorLimitsSince = 19042;

/** The CPU group that stands for none. A VM joins another group only by way of it. */
export const nullGroup = '00000000-0000-0000-0000-000000000000';

/** Rounded up to an even number of MiB, as at creation. */
export function memorySize(sizeInMB: number): HostModification {
  return { resourcePath: `${topology}/Memory/SizeInMB`, settings: sizeInMB + (sizeInMB % 2) };
}

export interface ProcessorLimits {
  readonly limit?: Uint64;
  readonly weight?: Uint64;
  readonly reservation?: Uint64;
  readonly maximumFrequencyMHz?: number;
}

export function processorLimits(limits: ProcessorLimits): HostModification {
  const settings = {
    Limit: limits.limit,
    Weight: limits.weight,
    Reservation: limits.reservation,
    MaximumFrequencyMHz: limits.maximumFrequencyMHz,
  };
  return { resourcePath: `${topology}/Processor/Limits`, settings };
}

/** The id goes on as it was given. */
export function processorGroup(id: string): HostModification {
  if (id === '') throw new RangeError("must specify an ID to use when configuring a VM's cpugroup");
  return { resourcePath: `${topology}/Processor/CpuGroup`, settings: { Id: id } };
}
