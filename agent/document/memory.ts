// ComputeTopology.Memory (docs/reference/hcs-documents.md §4, §6.2).
import { type BuildContext, warn } from './build-context.ts';
import { uint64 } from './json-numbers.ts';
import type { LinuxOptions } from './options.ts';
import type { Memory, Writable } from './schema.ts';

/** Rounded up to an even number of MB in 64 bits: the largest odd number wraps to 0. */
export function normaliseMemory(context: BuildContext): bigint {
  const { sizeInMB, warning } = roundedMemory(context.options.MemorySizeInMB);
  if (warning !== undefined) warn(context, 'MemoryRounded', warning);
  return sizeInMB;
}

export interface RoundedMemory {
  readonly sizeInMB: bigint;
  /** Set when the size differs from the request. */
  readonly warning: string | undefined;
}

export function roundedMemory(requested: bigint): RoundedMemory {
  if ((requested & 1n) === 0n) return { sizeInMB: requested, warning: undefined };
  const sizeInMB = BigInt.asUintN(64, requested + 1n);
  return { sizeInMB, warning: `memory size ${requested} MB rounded to ${sizeInMB} MB: it must be even` };
}

export function buildMemory(options: LinuxOptions, sizeInMB: bigint, slitType: string | undefined): Memory {
  const memory: Writable<Memory> = {};
  if (sizeInMB !== 0n) memory.SizeInMB = uint64(sizeInMB);
  if (options.AllowOvercommit) memory.AllowOvercommit = true;
  if (options.EnableColdDiscardHint) memory.EnableColdDiscardHint = true;
  if (options.EnableDeferredCommit) memory.EnableDeferredCommit = true;
  if (options.LowMMIOGapInMB !== 0n) memory.LowMmioGapInMB = uint64(options.LowMMIOGapInMB);
  if (options.HighMMIOBaseInMB !== 0n) memory.HighMmioBaseInMB = uint64(options.HighMMIOBaseInMB);
  if (options.HighMMIOGapInMB !== 0n) memory.HighMmioGapInMB = uint64(options.HighMMIOGapInMB);
  if (slitType !== undefined) memory.SlitType = slitType;
  return memory;
}
