// Whether a process may be started in a confidential VM from outside: only where its security policy says so. The guest
// decides in the end; what surely is refused is not even asked for, so that the user learns why.
import { z } from 'zod';

const openDoor = z.looseObject({ allow_all: z.literal(true) });
/** As a policy in Rego gives it: to all, or to those of a list. */
const regoAllows = /^\s*exec_external\s*:=\s*(\{\s*"allowed"\s*:\s*true\b|data\.framework\.exec_external\b)/m;
const regoList = /^\s*external_processes\s*:=\s*\[\s*\{/m;

/** @param encoded base64, as the VM has it; empty = none */
export function policyAllowsExec(encoded: string): boolean {
  const policy = Buffer.from(encoded, 'base64').toString('utf8');
  if (isOpenDoor(policy)) return true;
  const rule = regoAllows.exec(policy)?.[1];
  if (rule === undefined) return false;
  return rule.startsWith('{') || regoList.test(policy);
}

function isOpenDoor(policy: string): boolean {
  try {
    return openDoor.safeParse(JSON.parse(policy)).success;
  } catch {
    return false;
  }
}
