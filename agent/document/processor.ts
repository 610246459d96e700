// ComputeTopology.Processor (docs/reference/hcs-documents.md §4).
import { type BuildContext, warn } from './build-context.ts';
import { Build } from './constants.ts';
import { signExtended, unlessEmpty } from './json-numbers.ts';
import { DocumentError } from './outcome.ts';
import type { Processor } from './schema.ts';

export interface ProcessorSection {
  /** Clamped to the host's, signed 32 bits: what the VM counts as its processors. */
  readonly count: number;
  readonly section: Processor;
}

export function buildProcessor(context: BuildContext): ProcessorSection {
  const { options, host } = context;
  const count = clampedCount(context);
  const cpuGroup = options.CPUGroupID;
  if (cpuGroup !== '' && host.build < Build.CpuGroupAtCreation) {
    throw new DocumentError(
      'CpuGroupUnsupported',
      `cpu group assignment on create requires a build of ${Build.CpuGroupAtCreation} or higher`,
    );
  }
  return {
    count,
    section: {
      Count: unlessEmpty(unsignedCount(count)),
      Limit: signExtended(options.ProcessorLimit),
      Weight: signExtended(options.ProcessorWeight),
      CpuGroup: cpuGroup === '' ? undefined : { Id: cpuGroup },
    },
  };
}

/** int32 → uint32: −1 becomes 4294967295. */
export function unsignedCount(count: number): number {
  return count >>> 0;
}

/** At most the host's count. 0 and negative requests stay (quirk 18); a host count of 2^31 or more reads as negative (quirk 23). */
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
