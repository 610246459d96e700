// The outermost members, the same in both documents (docs/reference/hcs-documents.md §6.2, §7.2).
import type { BuildContext } from './build-context.ts';
import { unlessEmpty } from './json-numbers.ts';
import type { ComputeSystem, VirtualMachine } from './schema.ts';

export const SchemaVersion = {
  Ordinary: { Major: 2, Minor: 1 },
  Snp: { Major: 2, Minor: 5 },
} as const;

export interface BuiltMachine {
  readonly document: ComputeSystem;
  readonly processorCount: number;
  readonly memorySizeInMB: bigint;
  /** ExecCommandLine as the build changed it (quirk 12). */
  readonly execCommandLine: string;
}

export function computeSystem(
  context: BuildContext,
  schemaVersion: ComputeSystem['SchemaVersion'],
  virtualMachine: VirtualMachine,
): ComputeSystem {
  return {
    Owner: unlessEmpty(context.options.Owner),
    SchemaVersion: schemaVersion,
    VirtualMachine: virtualMachine,
    ShouldTerminateOnLastHandleClosed: context.switches?.outliveAgent === true ? undefined : true,
  };
}
