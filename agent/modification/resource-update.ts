// Several resources of a running VM at once, as an update in the words of the OCI runtime spec asks for them (hcs-runtime
// B.6): memory, the guest's own idea of it, processor limits, CPU group; the first failure ends it.
import { uint64 } from '../document/json-numbers.ts';
import { applyChange, type ChangeTarget, modifyDocument } from './document.ts';
import { memorySizeOfBytes, type ProcessorLimits, processorGroup, processorLimitsOn } from './topology.ts';

export interface ResourceUpdate {
  /** Unsigned 64 bits. */
  readonly memoryInBytes?: bigint;
  readonly processor?: ProcessorLimits;
  /** An empty one is refused; absent leaves the group as it is. */
  readonly cpuGroupID?: string;
}

/** What the spec's Linux and Windows sections have in common once their names are set aside. */
export interface OciResources {
  /** Bytes. Signed in the Linux section: −1 is the largest number. */
  readonly memoryLimit?: bigint | undefined;
  /** `maximum` of Windows, `quota` of Linux (−1 is the largest number). Absent members of a section that is there stay unset. */
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
  /** A guest of May 2026 does not know the request, and learns of its memory by itself in time. */
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
