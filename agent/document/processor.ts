// ComputeTopology.Processor (docs/reference/hcs-documents.md §4).
import { type BuildContext, warn } from './build-context.ts';
import { Build } from './constants.ts';
import { signExtended } from './json-numbers.ts';
import type { LinuxOptions } from './options.ts';
import { DocumentError } from './outcome.ts';
import type { NumaProcessors, Processor, Writable } from './schema.ts';

export const cpuGroupUnsupported = `cpu group assignment on create requires a build of ${Build.CpuGroupAtCreation} or higher`;

/** The VM's processor count, signed 32 bits, clamped to the host's. Throws for a CPU group that the host cannot set. */
export function verifiedCount(context: BuildContext): number {
  const count = clampedCount(context);
  if (context.options.CPUGroupID !== '' && context.host.build < Build.CpuGroupAtCreation) {
    throw new DocumentError('CpuGroupUnsupported', cpuGroupUnsupported);
  }
  return count;
}

export function buildProcessor(options: LinuxOptions, count: number, numa: NumaProcessors | undefined): Processor {
  const processor: Writable<Processor> = {};
  if (count !== 0) processor.Count = unsignedCount(count);
  if (options.ProcessorLimit !== 0) processor.Limit = signExtended(options.ProcessorLimit);
  if (options.ProcessorWeight !== 0) processor.Weight = signExtended(options.ProcessorWeight);
  if (options.CPUGroupID !== '') processor.CpuGroup = { Id: options.CPUGroupID };
  if (numa !== undefined) processor.NumaProcessorsSettings = numa;
  return processor;
}

/** int32 → uint32: −1 becomes 4294967295. */
export function unsignedCount(count: number): number {
  return count >>> 0;
}

/**
 * At most the host's count. Requests of 0 or less stay (quirk 18); a host count of 2^31 or more reads as negative
 * (quirk 23).
 */
function clampedCount(context: BuildContext): number {
  const { host, options } = context;
  if (host.processors.kind === 'error') {
    throw new DocumentError(
      'HostProcessorQuery',
      `failed to get host processor information: ${host.processors.message}`,
    );
  }
  const available = host.processors.logicalProcessors | 0;
  const requested = options.ProcessorCount;
  if (requested <= available) {
    return requested;
  }
  warn(context, 'ProcessorCountLowered', `processor count ${requested} lowered to the host's ${available}`);
  return available;
}
