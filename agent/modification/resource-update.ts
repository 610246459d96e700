// Changes several resources of a running VM in one update, in the terms of the OCI runtime spec (hcs-runtime B.6):
// memory, the guest's view of its memory, processor limits, CPU group. The first failure ends the update.
import { uint64 } from '../document/json-numbers.ts';
import { applyChange, type ChangeTarget, modifyDocument } from './document.ts';
import { memorySizeOfBytes, type ProcessorLimits, processorGroup, processorLimitsOn } from './topology.ts';

export interface ResourceUpdate {
  /** Unsigned 64 bits. */
  readonly memoryInBytes?: bigint;
  readonly processor?: ProcessorLimits;
  /** An empty id is refused; absent leaves the group unchanged. */
  readonly cpuGroupID?: string;
}

/** The common part of the spec's Linux and Windows sections, independent of their names. */
export interface OciResources {
  /** Bytes. Signed in the Linux section: −1 stands for the largest number. */
  readonly memoryLimit?: bigint | undefined;
  /**
   * `maximum` in the Windows section, `quota` in the Linux section (−1 stands for the largest number). Absent members
   * of a present section stay unset.
   */
  readonly cpu?: { readonly limit?: bigint | undefined; readonly shares?: bigint | undefined } | undefined;
}

export function resourceUpdate({ cpu, memoryLimit }: OciResources, cpuGroupID: string | undefined): ResourceUpdate {
  return {
    ...(memoryLimit !== undefined && { memoryInBytes: BigInt.asUintN(64, memoryLimit) }),
    ...(cpu !== undefined && { processor: processorOf(cpu) }),
    ...(cpuGroupID !== undefined && { cpuGroupID }),
  };
}

function processorOf({ limit, shares }: NonNullable<OciResources['cpu']>): ProcessorLimits {
  return {
    ...(limit !== undefined && { limit: uint64(BigInt.asUintN(64, limit)) }),
    ...(shares !== undefined && { weight: uint64(BigInt.asUintN(64, shares)) }),
  };
}

export interface UpdateHost {
  readonly build: number;
  /** False for a guest of May 2026: it does not know the request and detects its memory in time without it. */
  readonly refreshesGuest: boolean;
}

export async function updateResources(
  { cpuGroupID, memoryInBytes, processor }: ResourceUpdate,
  { build, refreshesGuest }: UpdateHost,
  target: ChangeTarget,
): Promise<void> {
  if (memoryInBytes !== undefined) {
    await target.host(modifyDocument(memorySizeOfBytes(memoryInBytes)));
    if (refreshesGuest) await refreshGuestMemory(target);
  }
  if (processor !== undefined) await target.host(modifyDocument(processorLimitsOn(build, processor)));
  if (cpuGroupID !== undefined) await target.host(modifyDocument(processorGroup(cpuGroupID)));
}

async function refreshGuestMemory(target: ChangeTarget): Promise<void> {
  const guest = { resourceType: 'PodCgroupMemoryLimit', requestType: 'Update' } as const;
  await applyChange({ guest }, target, () => undefined);
}
