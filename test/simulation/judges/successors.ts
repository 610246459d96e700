// The status of a VM is about this VM, and not about an earlier one of the same name.
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { isObject } from '../../../crds/structural.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';

/** At each write to the API server. */
export function judgeSuccessor({ after, kind, writer }: Write): void {
  if (kind !== 'LinuxUtilityVM' || after === undefined || !isObject(after.status)) return;
  const { systemID } = after.status;
  const { name, uid } = after.metadata;
  if (systemID === undefined || systemID === systemIdOf(uid)) return;
  throw new BrokenInvariant('a status is of its own VM', `${writer} writes ${systemID} to ${name}, which is ${uid}`);
}
