// VMs at rest: stopped, and not to be started by their run strategy. A VM at rest holds no room on its host, so a start
// must be admitted, like a first placement (design §10). The condition `Scheduled` stores which of the two applies, so
// that the next leader knows, too:
//
//   Scheduled=True  Scheduled | Admitted                            holds room; its agent is told its run strategy
//   Scheduled=True  Halted | Completed | Failed | AgentRestarted | HostDrained    at rest: its agent reported the stop
//   Scheduled=False NoRoom | NoHostFits | HostNotReady | …          is to start, and waits; its agent is told `Halted`
//
//   holds room ──stop reported──► at rest ──is to run──► waits ──admitted──► holds room
//                                    └──────────────admitted──────────────────►
import {
  finalizer,
  type LinuxUtilityVMSpec,
  type LinuxUtilityVMStatus,
  type Phase,
} from '../../../crds/linux-utility-vm.ts';
import type { MachinePhase, ObservedVirtualMachine, RunStrategy } from '../../../protocol/messages.ts';
import { essentialsOf, type VirtualMachine } from '../../kubernetes/objects.ts';
import { isRestartRequested } from './annotations.ts';
import { conditionOf } from './stored-condition.ts';

const rests = ['Halted', 'Completed', 'Failed', 'AgentRestarted', 'HostDrained'] as const;
export type Rest = (typeof rests)[number];

/** The VM does what its manifest asks for. */
export function isGoodRest(rest: Rest): boolean {
  return rest === 'Halted' || rest === 'Completed';
}

/** Whether the VM's host promises it room. */
export function holdsRoom(object: VirtualMachine): boolean {
  if (object.status.nodeName === undefined || isTornDown(object)) return false;
  const scheduled = conditionOf(object.status.conditions, 'Scheduled');
  return scheduled === undefined || (scheduled.status === 'True' && !isRest(scheduled.reason));
}

/** The teardown was confirmed or given up. Only other finalizers keep the object. */
export function isTornDown({ metadata }: VirtualMachine): boolean {
  return metadata.deletionTimestamp !== undefined && metadata.finalizers?.includes(finalizer) !== true;
}

/** The VM is on a host that promises it no room, and is to run: it must be admitted first. */
export function isStart(object: VirtualMachine): boolean {
  const { spec, status, metadata } = object;
  if (status.nodeName === undefined || !spec.ok || metadata.deletionTimestamp !== undefined) return false;
  return !holdsRoom(object) && isToLeaveRest(object, spec.value, storedRest(status));
}

/** The VM has no host that promises it room, and may need one. */
export function awaitsRoom(object: VirtualMachine): boolean {
  if (object.status.nodeName !== undefined) return isStart(object);
  const scheduled = conditionOf(object.status.conditions, 'Scheduled');
  return restWithoutHost(object) === undefined || !isRest(scheduled?.reason ?? '');
}

/** The rest that the agent reports for the current generation: the VM is stopped and stays so. */
export function reportedRest(
  { spec, metadata, status }: VirtualMachine,
  observed: ObservedVirtualMachine | undefined,
): Rest | undefined {
  const { runStrategy } = essentialsOf(spec);
  if (runStrategy === undefined || observed?.generation !== metadata.generation || !isStopped(observed))
    return undefined;
  const reason = observed.conditions.find(({ type }) => type === 'Ready')?.reason ?? '';
  if (!isRest(reason) || !possibleRests[runStrategy].includes(reason)) return undefined;
  if (!isGoodRest(reason) && wasDrained(status)) return 'HostDrained';
  const isAboutToRestart = reason === 'Completed' && isRestartRequested(metadata, { ...status, ...observed });
  return isAboutToRestart && runStrategy === 'RerunOnFailure' ? undefined : reason;
}

/** A VM that is to run and is reported as halted was halted by a drain, which does not count as rest. */
const possibleRests: Readonly<Record<RunStrategy, readonly Rest[]>> = {
  Always: [],
  RerunOnFailure: ['Completed'],
  Once: ['Completed', 'Failed', 'AgentRestarted'],
  Halted: ['Halted'],
};

/** Why a VM without a host needs none. */
export function restWithoutHost({ spec, metadata, status }: VirtualMachine): Rest | undefined {
  if (!spec.ok) return undefined;
  const { runStrategy } = spec.value;
  if (runStrategy === 'Halted') return 'Halted';
  if (runStrategy === 'Always' || status.startTime === undefined) return undefined;
  if (endedWell(status)) {
    return runStrategy === 'RerunOnFailure' && isRestartRequested(metadata, status) ? undefined : 'Completed';
  }
  if (runStrategy === 'RerunOnFailure') return undefined;
  if (wasDrained(status)) return 'HostDrained';
  return status.lastExit === undefined || status.lastExit.type === 'AgentExit' ? 'AgentRestarted' : 'Failed';
}

const activePhases: ReadonlySet<MachinePhase> = new Set(['Staging', 'Creating', 'Starting', 'Running']);

/** The VM runs or is about to, whatever is stored. */
export function isActive({ phase }: ObservedVirtualMachine): boolean {
  return activePhases.has(phase);
}

/** Only phases that are certain: `Unknown` and `Stopping` are not. */
export function isStopped({ phase }: { readonly phase: Phase }): boolean {
  return phase === 'Stopped' || phase === 'Failed';
}

/** The VM's data exist only on its host. */
export function isBoundToHost({ fileShares, nodeName, storage }: LinuxUtilityVMSpec): boolean {
  const onHost = [...(storage?.disks ?? []), ...(fileShares?.shares ?? [])];
  return nodeName !== undefined || onHost.some(({ readOnly }) => readOnly !== true);
}

function isToLeaveRest(object: VirtualMachine, spec: LinuxUtilityVMSpec, rest: Rest | undefined): boolean {
  switch (spec.runStrategy) {
    case 'Halted':
      return false;
    case 'Always':
      return true;
    case 'Once':
      return rest === undefined || rest === 'Halted';
    case 'RerunOnFailure':
      return restWithoutHost(object) === undefined;
  }
}

/** A drain stopped the VM, however its agent reports the end. */
export function wasDrained({ conditions }: LinuxUtilityVMStatus): boolean {
  const ready = conditionOf(conditions, 'Ready');
  return ready?.status === 'False' && ready.reason === 'HostDrained';
}

export function storedRest(status: LinuxUtilityVMStatus): Rest | undefined {
  const scheduled = conditionOf(status.conditions, 'Scheduled');
  return scheduled?.status === 'True' && isRest(scheduled.reason) ? scheduled.reason : undefined;
}

function isRest(reason: string): reason is Rest {
  return rests.some((each) => each === reason);
}

function endedWell({ lastExit }: LinuxUtilityVMStatus): boolean {
  return lastExit?.type === 'GracefulExit';
}
