// The part of the status that an agent's report contributes, within the bounds of the CRD. In a report that answers no
// assignment yet, or that could not be read, an absent member means nothing: the stored value stays.
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import type { Devices, LastExit, ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { beginning } from '../../../runtime/beginning.ts';

const bounds = { exitMessageChars: 1_024, memoryInMB: 2 ** 40 } as const;

type ObservedStatus = Omit<
  LinuxUtilityVMStatus,
  'conditions' | 'nodeName' | 'lastNodeName' | 'observedGeneration' | 'phase'
>;

export function observedStatus(stored: LinuxUtilityVMStatus, observed: ObservedVirtualMachine): ObservedStatus {
  const { lastExit, processorCount, memorySizeInMB, devices } = observed;
  const current = present<ObservedStatus>({
    systemID: observed.systemID,
    runtimeID: observed.runtimeID,
    documentDigest: observed.documentDigest,
    optionsDigest: observed.optionsDigest,
    policyDigest: observed.policyDigest,
    processorCount: processorCount === undefined ? undefined : Math.max(0, processorCount),
    memorySizeInMB: memorySizeInMB === undefined ? undefined : Math.min(memorySizeInMB, bounds.memoryInMB),
    guest: withoutEmpty(observed.guest),
    guestLog: withoutEmpty(observed.guestLog),
    startFailure: observed.startFailure,
    bootTimings: withoutEmpty(observed.bootTimings),
    warnings: observed.warnings.length === 0 ? undefined : observed.warnings,
    devices: devices === undefined ? undefined : withoutEmpty(distinct(devices)),
    restarts: observed.restarts,
    ...(observed.abridged === true && keptOf(stored)),
  });
  const history = present<ObservedStatus>({
    startTime: observed.startTime ?? stored.startTime,
    restartedAt: observed.restartedAt ?? stored.restartedAt,
    lastExit: lastExit === undefined ? stored.lastExit : boundedExit(lastExit),
    process: processOf(stored, observed),
  });
  const complete = observed.generation !== undefined && observed.phase !== 'Unknown';
  if (complete) return { ...current, ...history };
  return {
    ...storedObservations(stored),
    ...current,
    ...history,
    restarts: Math.max(stored.restarts ?? 0, observed.restarts),
  };
}

/** An agent that has lost its journal does not know how the process of an ended VM ended. */
function processOf(stored: LinuxUtilityVMStatus, { phase, process }: ObservedVirtualMachine) {
  const isAtRest = phase === 'Stopped' || phase === 'Failed';
  return process ?? (isAtRest ? stored.process : undefined);
}

/** The part that an earlier report contributed. */
export function storedObservations(stored: LinuxUtilityVMStatus): ObservedStatus {
  const { conditions, nodeName, lastNodeName, observedGeneration, phase, ...observations } = stored;
  return observations;
}

/** The members that an abridged report leaves out. Log text that is not cached is read back before a write. */
function keptOf({ guestLog, warnings, devices }: LinuxUtilityVMStatus): ObservedStatus {
  return { guestLog, warnings, devices };
}

/** The part that stays true of a VM after it left its host: its history, not its state on that host. */
export function historyOf(stored: LinuxUtilityVMStatus, end?: LastExit): ObservedStatus {
  const { startTime, restarts, restartedAt, guestLog, process } = stored;
  const hasEnded = process?.finishedAt !== undefined;
  const lastExit = end === undefined ? stored.lastExit : boundedExit(end);
  return present<ObservedStatus>({
    startTime,
    restarts,
    restartedAt,
    lastExit,
    guestLog,
    process: hasEnded ? process : undefined,
  });
}

function boundedExit(exit: LastExit): LastExit {
  return { ...exit, message: beginning(exit.message, bounds.exitMessageChars) };
}

/** Drops undefined members: spreading them would erase others. */
function present<T extends object>(members: T): Partial<T> {
  const result: Partial<T> = {};
  for (const name in members) if (members[name] !== undefined) result[name] = members[name];
  return result;
}

/** `kubectl describe` shows an empty list or object as a heading with nothing below it. */
function withoutEmpty<T extends object>(members: T | undefined): Partial<T> | undefined {
  const kept: Partial<T> = {};
  for (const name in members) if (!isEmptyList(members[name])) kept[name] = members[name];
  return Object.keys(kept).length === 0 ? undefined : kept;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** The API server refuses a list with two entries for one slot. One bad entry must not cost the whole status. */
function distinct({ vpmem, scsi, assigned, shares = [] }: Devices): Devices {
  return {
    vpmem: distinctBy(vpmem, ({ slot }) => `${slot}`),
    scsi: distinctBy(scsi, ({ controller, lun }) => `${controller}/${lun}`),
    assigned: distinctBy(assigned, ({ vmbusID }) => vmbusID),
    shares: distinctBy(shares, ({ name }) => name),
  };
}

function distinctBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
