// ComputeTopology.Memory (docs/reference/hcs-documents.md §4, §6.2).
import { type BuildContext, warn } from './build-context.ts';
import { uint64, unlessEmpty } from './json-numbers.ts';
import type { LinuxOptions } from './options.ts';
import type { Memory } from './schema.ts';

/** Rounded up to an even number of MB in 64 bits: the largest odd number wraps to 0. */
export function normaliseMemory(context: BuildContext): bigint {
  const requested = context.options.MemorySizeInMB;
  if ((requested & 1n) === 0n) {
    return requested;
  }
  const rounded = BigInt.asUintN(64, requested + 1n);
  warn(context, 'MemoryRounded', `memory size ${requested} MB rounded to ${rounded} MB: it must be even`);
  return rounded;
}

export function buildMemory(options: LinuxOptions, sizeInMB: bigint, slitType: string | undefined): Memory {
  return {
    SizeInMB: uint64(sizeInMB),
    AllowOvercommit: unlessEmpty(options.AllowOvercommit),
    EnableColdDiscardHint: unlessEmpty(options.EnableColdDiscardHint),
    EnableDeferredCommit: unlessEmpty(options.EnableDeferredCommit),
    LowMmioGapInMB: uint64(options.LowMMIOGapInMB),
    HighMmioBaseInMB: uint64(options.HighMMIOBaseInMB),
    HighMmioGapInMB: uint64(options.HighMMIOGapInMB),
    SlitType: slitType,
  };
}
