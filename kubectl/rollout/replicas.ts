// The VMs of a set as its plan will see them once the set is changed.
import { linuxUtilityVMSpec, linuxUtilityVMStatus } from '../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMSetSpec } from '../../crds/linux-utility-vm-set.ts';
import { revisionLabel } from '../../crds/names.ts';
import type { SetTemplate } from '../../crds/set/template.ts';
import {
  changeBetween,
  changeOfMachine,
  hasLiveFieldsOf,
  restartStep,
  type TemplateChange,
} from '../../sets/changes.ts';
import { expanded } from '../../sets/expansion.ts';
import type { Replica } from '../../sets/plan.ts';
import { judge } from '../../sets/replica.ts';
import { haveSameMeaning } from '../../sets/templates.ts';
import { isRestartRequested } from '../restart-request.ts';
import type { Member } from './objects.ts';

/** Stands for the revision of the changed template. */
export const updateRevision = 'update';

export interface ReplicaInputs {
  readonly spec: LinuxUtilityVMSetSpec;
  /** By the names of the revisions. */
  readonly templates: ReadonlyMap<string, SetTemplate | undefined>;
  readonly now: number;
}

export function replicaOf(member: Member, ordinal: number, { now, spec, templates }: ReplicaInputs): Replica {
  const { metadata } = member;
  const status = linuxUtilityVMStatus.safeParse(member.status).data ?? {};
  const own = linuxUtilityVMSpec.safeParse(member.spec).data;
  const target = expanded(spec.template, { name: metadata.name, ordinal });
  const before = templates.get(metadata.labels[revisionLabel] ?? '');
  const change = changeOf(before, own, target, spec);
  const isMixed = change?.hasLivePart === true && before !== undefined && own !== undefined;
  const judged = judge({
    ...{ metadata, status, ordinal, now, runStrategy: own?.runStrategy },
    ...{ isRestartRequested: isRestartRequested(member), isDeleted: false, isToLeave: false },
    minReadySeconds: spec.minReadySeconds,
    replacement: undefined,
    step: change?.step,
    lacksLivePart: isMixed && !hasLiveFieldsOf(own, target, change),
  });
  // The drains of hosts and former replacements are not known here. A VM that leaves its host goes on leaving it.
  return { ...judged, isToLeave: judged.isEvicting, ...(change === undefined && { revision: updateRevision }) };
}

type OwnSpec = Parameters<typeof changeOfMachine>[0];

/** Undefined if the VM has the template. */
function changeOf(
  before: SetTemplate | undefined,
  own: OwnSpec | undefined,
  target: SetTemplate,
  { template, update: { method } }: LinuxUtilityVMSetSpec,
): TemplateChange | undefined {
  if (before !== undefined) {
    return haveSameMeaning(before, template) ? undefined : changeBetween(before, template, method);
  }
  if (own !== undefined) return changeOfMachine(own, target, method);
  return { fields: [], step: restartStep(method), hasLivePart: false };
}
