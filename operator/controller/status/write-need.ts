// Decides when a status must be written, given the stored one (design §4): decisions of the operator at once,
// short-lived states only once they have lasted, and explanations why a VM has no host at low priority.
import type { LinuxUtilityVMStatus, Phase } from '../../../crds/linux-utility-vm.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import type { VirtualMachine } from '../../kubernetes/objects.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import { isExplainedBy } from './explanation.ts';

export type WriteNeed =
  | { readonly kind: 'None' }
  | { readonly kind: 'Now' }
  /** Only explains why a VM has no host: written after everything else. */
  | { readonly kind: 'AtLowPriority' }
  /** Written once the state named `what` has lasted for `milliseconds`. Most such states pass earlier. */
  | {
      readonly kind: 'WhenLasting';
      readonly what: string;
      readonly milliseconds: number;
      readonly lowPriority?: true;
    };

const lastingMilliseconds = 2_000;
/** From placement to a result, through all phases of the boot. Most boots take less. */
const bootMilliseconds = 5_000;

const transientPhases: ReadonlySet<Phase | undefined> = new Set([
  'Staging',
  'Creating',
  'Starting',
  'Stopping',
  'Unknown',
]);
const headLines = 5;

export function writeNeed(object: Pick<VirtualMachine, 'status' | 'omitted'>, next: LinuxUtilityVMStatus): WriteNeed {
  const stored = object.status;
  if (sameStatus(withoutLog(stored), comparable(stored, next))) return logNeed(object, next);
  if (stored.nodeName === undefined && next.nodeName === undefined) return explanationNeed(stored, next);
  if (stored.nodeName !== next.nodeName || operatorPart(stored) !== operatorPart(next)) return { kind: 'Now' };
  if (conditionOf(next.conditions, 'Terminating') !== undefined) return whenLasting('termination');
  if (!transientPhases.has(next.phase)) return { kind: 'Now' };
  return stored.phase === 'Scheduled' ? whenLasting('boot', bootMilliseconds) : whenLasting(`phase ${next.phase}`);
}

function logNeed(
  { status, omitted }: Pick<VirtualMachine, 'status' | 'omitted'>,
  { guestLog }: LinuxUtilityVMStatus,
): WriteNeed {
  const known = omitted?.headLines ?? status.guestLog?.head?.length ?? 0;
  const bootIsBeingLogged = known < headLines && (guestLog?.head?.length ?? known) !== known;
  return bootIsBeingLogged ? whenLasting('log head') : { kind: 'None' };
}

function explanationNeed(stored: LinuxUtilityVMStatus, next: LinuxUtilityVMStatus): WriteNeed {
  if (isExplainedBy(stored, next)) return { kind: 'None' };
  if (next.phase !== 'Pending') return { kind: 'Now' }; // no explanation of a wait: the VM needs no host
  const scheduled = conditionOf(next.conditions, 'Scheduled');
  const waits = scheduled?.reason === 'InventoryPending' || conditionOf(next.conditions, 'Terminating') !== undefined;
  return waits ? { ...whenLasting('inventory'), lowPriority: true } : { kind: 'AtLowPriority' };
}

function whenLasting(what: string, milliseconds = lastingMilliseconds): WriteNeed & { readonly kind: 'WhenLasting' } {
  return { kind: 'WhenLasting', what, milliseconds };
}

/**
 * Statuses of earlier versions may lack `lastNodeName` although they have `nodeName`. Adding it alone is not worth a
 * write.
 */
function comparable(stored: LinuxUtilityVMStatus, next: LinuxUtilityVMStatus): LinuxUtilityVMStatus {
  const { lastNodeName, ...rest } = withoutLog(next);
  const isNews = stored.lastNodeName !== undefined || stored.nodeName !== next.nodeName;
  return isNews && lastNodeName !== undefined ? { ...rest, lastNodeName } : rest;
}

function withoutLog({ guestLog, ...rest }: LinuxUtilityVMStatus): LinuxUtilityVMStatus {
  return rest;
}

function sameStatus(a: LinuxUtilityVMStatus, b: LinuxUtilityVMStatus): boolean {
  return sameJson(a, b);
}

const operatorConditions: ReadonlySet<string> = new Set(['Scheduled', 'Evicting', 'ReferencesResolved', 'Paused']);

/**
 * Decisions of the operator, which are written at once. The condition of a termination is written only when the
 * termination takes long.
 */
function operatorPart({ conditions = [] }: LinuxUtilityVMStatus): string {
  return conditions
    .filter(({ type, reason }) => operatorConditions.has(type) || reason === 'HostDisconnected')
    .map(({ type, status, reason, message }) => `${type}\0${status}\0${reason}\0${message}`)
    .join('\n');
}
