// Which CPU groups and resource partitions of the host a spec may join. A VM takes processor time from all members of
// its group, so the administrator of the host lists the allowed ids. Without a list none is allowed.

import type { RequestedOptions } from '../../protocol/options.ts';
import type { ReasonCode } from '../../protocol/reasons.ts';
import { nullGroup } from '../document/constants.ts';
import { MachineFailure } from '../failure.ts';

export interface AllowedGroups {
  readonly cpuGroups: readonly string[];
  readonly resourcePartitions: readonly string[];
}

const none: AllowedGroups = { cpuGroups: [], resourcePartitions: [] };

/** Throws a `MachineFailure` that names the field and the flag that would allow it. */
export function requireAllowedGroups(requested: RequestedOptions, allowed: AllowedGroups = none): void {
  const { CPUGroupID: group = '', ResourcePartitionID: partition = '' } = requested;
  // The null GUID means no group.
  if (group !== nullGroup && isForbidden(group, allowed.cpuGroups)) {
    refuse(
      'CPUGroupNotAllowed',
      `processor.cpuGroupID: the agent of this host does not allow ${group}; see --allowed-cpu-group`,
    );
  }
  if (isForbidden(partition, allowed.resourcePartitions)) {
    refuse(
      'ResourcePartitionNotAllowed',
      `resourcePartitionID: the agent of this host does not allow ${partition}; see --allowed-resource-partition`,
    );
  }
}

function isForbidden(id: string, allowed: readonly string[]): boolean {
  return id !== '' && !allowed.some((each) => each.toLowerCase() === id.toLowerCase());
}

function refuse(reason: ReasonCode, message: string): never {
  throw new MachineFailure(reason, message);
}
