// Whether a process may be started in a confidential VM from outside: only if its security policy says so. The guest
// decides in the end; a request that it would refuse for certain is not sent, so that the user learns why. Anybody who
// may create VMs in a namespace can write a policy, so its text is read once from start to end, each character a
// bounded number of times: regular expressions that look for a rule at the start of a line took seconds for a policy
// full of line ends.
import { z } from 'zod';

/** A policy's other members do not matter, however many there are. */
const openDoor = z.object({ allow_all: z.literal(true) });
/** The rule's value when everybody is allowed. */
const allowedToAll = ['{', '"allowed"', ':', 'true'];
/** The rule's value when the processes on the policy's list are allowed. */
const allowedByList = ['data.framework.exec_external'];
const beginningOfList = ['[', '{'];

/** The options of a VM that decide. */
export interface PolicyOptions {
  readonly SecurityPolicy?: string | undefined;
  readonly SecurityPolicyEnabled?: boolean | undefined;
}

/** Takes time proportional to the policy, so this is called once for each boot of a VM and not for each process. */
export function allowsExec({ SecurityPolicy, SecurityPolicyEnabled }: PolicyOptions): boolean {
  return SecurityPolicyEnabled !== true || policyAllowsExec(SecurityPolicy ?? '');
}

/** @param encoded the policy in base64, as in the VM's options; empty = none */
export function policyAllowsExec(encoded: string): boolean {
  const policy = Buffer.from(encoded, 'base64').toString('utf8');
  return isOpenDoor(policy) || regoAllows(policy);
}

function isOpenDoor(policy: string): boolean {
  try {
    return openDoor.safeParse(JSON.parse(policy)).success;
  } catch {
    return false;
  }
}

/** The first rule with one of the two values decides. */
function regoAllows(policy: string): boolean {
  for (const value of valuesOf(policy, 'exec_external')) {
    if (endsWord(policy, follow(policy, value, allowedToAll))) return true;
    if (endsWord(policy, follow(policy, value, allowedByList))) return hasList(policy);
  }
  return false;
}

function hasList(policy: string): boolean {
  for (const value of valuesOf(policy, 'external_processes')) {
    if (follow(policy, value, beginningOfList) !== undefined) return true;
  }
  return false;
}

/** The index after each `NAME :=` that begins a line. */
function* valuesOf(policy: string, name: string): Generator<number> {
  for (let found = policy.indexOf(name); found >= 0; found = policy.indexOf(name, found + name.length)) {
    const value = beginsLine(policy, found) ? follow(policy, found + name.length, [':=']) : undefined;
    if (value !== undefined) yield value;
  }
}

/** Only white space precedes the index in its line. */
function beginsLine(text: string, index: number): boolean {
  let before = index - 1;
  while (before >= 0 && isSpace(text, before) && !isLineEnd(text, before)) before -= 1;
  return before < 0 || isLineEnd(text, before);
}

/** The index after all these words, each with optional white space before it; undefined when the text differs. */
function follow(text: string, index: number, words: readonly string[]): number | undefined {
  let next = index;
  for (const word of words) {
    while (isSpace(text, next)) next += 1;
    if (!text.startsWith(word, next)) return undefined;
    next += word.length;
  }
  return next;
}

function endsWord(text: string, index: number | undefined): boolean {
  return index !== undefined && !/\w/.test(text.charAt(index));
}

function isLineEnd(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  return unit === 0x0a || unit === 0x0d || unit === 0x2028 || unit === 0x2029;
}

/** False at the end of the text. */
function isSpace(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  if (unit < 0x80) return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
  return /\s/.test(text.charAt(index));
}
