// Decides when a new explanation for a VM without a host is worth a write (design §10, Fairness): when the kinds of
// reasons change. Counts, examples and sizes change with every new host and every placement; writing each change would
// rewrite a whole crowd of waiting VMs.
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { sameJson } from '../../../runtime/same-json.ts';

/**
 * Whether the stored status already says this, except for counts and examples. Both are statuses of a VM without a
 * host.
 */
export function isExplainedBy(stored: LinuxUtilityVMStatus, next: LinuxUtilityVMStatus): boolean {
  return sameJson(withKinds(stored), withKinds(next));
}

function withKinds({ conditions, ...status }: LinuxUtilityVMStatus): object {
  const judged = conditions?.map((condition) => ({ ...condition, message: kindsIn(condition.message) }));
  return { ...status, conditions: judged };
}

/** The kinds of reasons that a message counts, without order, numbers, taints and names of hosts. */
export function kindsIn(message: string): string {
  const [counted = ''] = message.split(/[;,] for example /);
  const kinds = counted
    .replaceAll(/\d+/g, '#')
    .replaceAll(/untolerated taint [^,]*/g, 'untolerated taint')
    .split(', ')
    .map((kind) => kind.replace('#/# hosts fit: ', ''));
  return [...new Set(kinds)].sort().join(', ');
}
