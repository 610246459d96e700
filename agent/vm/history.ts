// Changes of a VM's record, one function for each event of its life. Pure: each function returns the next record.

import type { Intent } from '../../protocol/intent.ts';
import type { Assignment, BootTimings, GuestLogSummary, LastExit } from '../../protocol/messages.ts';
import { withFailure } from '../../protocol/streak.ts';
import type { Clock, Random } from '../../runtime/clock.ts';
import type { Timeouts } from '../bounds/timeouts.ts';
import type { MachineFailure } from '../failure.ts';
import type { GuestIdentity } from '../guest/bridge/messages.ts';
import type { RuntimeId, SystemExit, SystemProperties } from '../node/backend.ts';
import type { BootPlan } from '../preparation/plan.ts';
import { describeLeft, leftOf, mountedWritable } from './ending/stop-report.ts';
import { exitTexts, lastExitOf, plannedExit, withCrashLog } from './exit-texts.ts';
import { exitOfProcess, judgedByProcess } from './process/record.ts';
import type { MachineRecord, StopReason } from './record.ts';

interface BackOffPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly timeouts: Timeouts;
}

/** Other options or a new restart request end a back-off. A new record takes over the facts from the VM's status. */
export function assigned(record: MachineRecord, assignment: Assignment): MachineRecord {
  const before = record.assignment ?? assignment;
  const fresh = record.assignment === undefined && record.boot === 0 ? remembering(record, assignment) : record;
  const known = renamed(fresh, assignment);
  return { ...(isAnew(before, assignment) ? withoutFailures(known) : known), assignment };
}

/** The operator has assigned the VM to this host since the host started. */
export function confirmed(record: MachineRecord, hostStartedAt: number): MachineRecord {
  return { ...record, confirmedSince: hostStartedAt };
}

/** Differences between two looks at the time of one start: the clock was corrected meanwhile. */
const sameStart = 10_000;

/**
 * Whether the operator has assigned the VM since the host started. A host that was off may have lost its VMs to others:
 * its Node was removed, or fenced.
 */
export function isConfirmed({ confirmedSince }: MachineRecord, hostStartedAt: number): boolean {
  return confirmedSince === undefined || Math.abs(confirmedSince - hostStartedAt) <= sameStart;
}

/** Earlier operators sent only the beginning of a long restart request. Renames a request that was handled that way. */
function renamed(record: MachineRecord, { restartedAt, restartedAtPrefix }: Assignment): MachineRecord {
  const isKnown = restartedAtPrefix !== undefined && record.restartedAt === restartedAtPrefix;
  return isKnown && restartedAt !== undefined ? { ...record, restartedAt } : record;
}

/**
 * The assignment that follows from an intent: the VM keeps the options that it has. Without options it is halted until
 * the agent is sent some, so that no VM starts with defaults in place of its options.
 */
export function intended(record: MachineRecord, intent: Intent): Assignment {
  if (record.assignment === undefined) return { ...intent, ...noOptions, runStrategy: 'Halted' };
  const { restartedAt: _handled, restartedAtPrefix: _prefix, ...before } = record.assignment;
  const hasOptions = before.optionsDigest !== noOptions.optionsDigest;
  const { runStrategy = before.runStrategy } = intent;
  return { ...before, ...intent, runStrategy: hasOptions ? runStrategy : 'Halted' };
}

/** A paused VM keeps its earlier assignment. Assignments that arrive meanwhile take effect when the pause ends. */
export function followed({ assignment: before }: MachineRecord, assignment: Assignment): Assignment {
  if (!assignment.paused) return assignment;
  // Without an earlier assignment, the VM follows no generation yet.
  return before === undefined ? { ...assignment, generation: 0 } : { ...before, paused: true };
}

/** No options have this digest. */
const noOptions = { options: {}, optionsDigest: '0'.repeat(64), updateStrategy: 'OnRestart' } as const;

/** Whether the new assignment deserves an attempt at once. */
export function isAnew(before: Assignment, after: Assignment): boolean {
  return before.optionsDigest !== after.optionsDigest || before.restartedAt !== after.restartedAt;
}

/** Whether the new assignment differs in more than the facts from the VM's status. */
export function wantsOtherwise(before: Assignment, after: Assignment): boolean {
  return (
    isAnew(before, after) ||
    before.generation !== after.generation ||
    before.paused !== after.paused ||
    before.runStrategy !== after.runStrategy ||
    before.updateStrategy !== after.updateStrategy
  );
}

function remembering(record: MachineRecord, { remembered }: Assignment): MachineRecord {
  return {
    ...record,
    restarts: remembered.restarts,
    hasRun: remembered.startTime !== undefined,
    ...(remembered.startTime !== undefined && { startTime: remembered.startTime }),
    ...(remembered.lastExit !== undefined && { lastExit: remembered.lastExit }),
    ...(remembered.restartedAt !== undefined && { restartedAt: remembered.restartedAt }),
  };
}

export function withoutFailures(record: MachineRecord): MachineRecord {
  const { retryAfter: _, ...rest } = withoutFailedStarts(record);
  return { ...rest, failures: 0 };
}

function withoutFailedStarts({ failedStarts: _, ...record }: MachineRecord): MachineRecord {
  return record;
}

export function attemptBegun(record: MachineRecord, assignment: Assignment, agentBootID: string): MachineRecord {
  const {
    retryAfter: _retryAfter,
    runtimeID: _runtimeID,
    guest: _guest,
    nextStdioPort: _ports,
    process: _process,
    stopReason: _reason,
    ...rest
  } = record;
  return {
    ...rest,
    agentBootID,
    stage: 'staging',
    boot: record.boot + 1,
    bootTimings: {},
    ...(assignment.restartedAt !== undefined && { restartedAt: assignment.restartedAt }),
  };
}

export function planned(record: MachineRecord, plan: BootPlan, now: string): MachineRecord {
  const copies = plan.staging.flatMap((step) =>
    step.kind === 'copy' ? [{ kind: 'copy' as const, path: step.to }] : [],
  );
  return timed({ ...record, acquired: copies, applied: plan.applied }, 'prepared', now);
}

export function created(record: MachineRecord, properties: SystemProperties, now: string): MachineRecord {
  return timed(
    { ...record, ...(properties.runtimeId !== undefined && { runtimeID: properties.runtimeId }) },
    'created',
    now,
  );
}

export function timed(record: MachineRecord, phase: keyof BootTimings, now: string): MachineRecord {
  return { ...record, bootTimings: { ...record.bootTimings, [phase]: now } };
}

export function up(
  record: MachineRecord,
  guest: GuestIdentity | undefined,
  guestLog: GuestLogSummary,
  now: string,
): MachineRecord {
  return {
    ...withoutFailedStarts(withoutBootExit(record)),
    stage: 'running',
    hasRun: true,
    ranHere: true,
    restarts: record.startTime === undefined ? record.restarts : record.restarts + 1,
    startTime: now,
    guest: guest && { ...guest, capabilities: [...guest.capabilities] },
    guestLog,
  };
}

/** The VM waits for a reservation. The boot timings of an earlier run are obsolete. */
export function heldUp(record: MachineRecord): MachineRecord {
  return { ...record, bootTimings: {} };
}

/** Nothing of the run is left on the host. */
export function cleaned(record: MachineRecord, guestLog: GuestLogSummary): MachineRecord {
  const { left: _left, runtimeID: _runtimeID, stopReason: _reason, ...rest } = withoutStorage(record);
  return { ...rest, guestLog, stage: 'none', acquired: [], disks: [], unsettled: [] };
}

function withoutStorage(record: MachineRecord): MachineRecord {
  const { nextShare: _next, retiredPaths: _paths, retiredSlots: _slots, shares: _shares, ...rest } = record;
  return rest;
}

/** After a requested restart, even a `Once` VM counts as one that has not run yet. */
export function stopDecided(record: MachineRecord, reason: StopReason): MachineRecord {
  const calm = { ...withoutFailures(record), stopReason: reason };
  if (reason !== 'Restarting') return calm;
  const restartedAt = record.assignment?.restartedAt;
  return { ...calm, hasRun: false, ...(restartedAt !== undefined && { restartedAt }) };
}

/** The VM ended by itself. */
export function exited(record: MachineRecord, exit: SystemExit, ports: BackOffPorts): MachineRecord {
  const ended = lastExitOf(exit, new Date(ports.clock.now()).toISOString());
  return ownEnd(record, withCrashLog(judgedByProcess(record, ended), exit), ports);
}

/** The process of the VM has ended or was not started, so the VM is to end. `detail`: the guest's words about it. */
export function processEnded(record: MachineRecord, ports: BackOffPorts, detail?: string): MachineRecord {
  const now = new Date(ports.clock.now()).toISOString();
  return ownEnd(record, exitOfProcess(record, now, detail), ports);
}

/** If the VM ran long enough, earlier failures no longer count. */
function ownEnd(record: MachineRecord, lastExit: LastExit, ports: BackOffPorts): MachineRecord {
  const now = ports.clock.now();
  const ran = record.startTime === undefined ? 0 : now - Date.parse(record.startTime);
  const failures = ran >= ports.timeouts.backOffReset ? 1 : record.failures + 1;
  return {
    ...record,
    stage: 'stopping',
    lastExit,
    failures,
    retryAfter: new Date(now + backOff(failures, ports)).toISOString(),
  };
}

/** The VM ended by itself before its guest was up. */
export function endedWhileBooting(record: MachineRecord, exit: SystemExit, now: string): MachineRecord {
  const ended = lastExitOf(exit, now);
  const lastExit = withCrashLog({ ...ended, message: `${ended.message}, while it booted` }, exit);
  return { ...record, lastExit, endedBooting: true };
}

/** Whether the record has the exit of the current or latest boot. */
export function hasBootExit({ bootTimings, lastExit }: MachineRecord): boolean {
  return lastExit !== undefined && lastExit.time >= (bootTimings.created ?? '');
}

function withoutBootExit(record: MachineRecord): MachineRecord {
  const { endedBooting: _, ...rest } = record;
  return rest;
}

/** The agent stopped the VM, or it ended by itself just before. `left`: what happened to its disks. */
export function stopped(record: MachineRecord, exit: SystemExit, now: string, left: string | undefined): MachineRecord {
  const { left: _, stopReason, ...rest } = record;
  if (stopReason === undefined) return withLeft(rest, left);
  return withLeft({ ...rest, lastExit: plannedEnd(record, stopReason, exit, now) }, left);
}

/** A VM with a process does not end well by a power-off. */
function plannedEnd(record: MachineRecord, stopReason: StopReason, exit: SystemExit, now: string): LastExit {
  const planned = plannedExit(stopReason, exit, now);
  return planned.type === 'GracefulExit' ? judgedByProcess(record, planned) : planned;
}

function withLeft(record: MachineRecord, left: string | undefined): MachineRecord {
  const { lastExit } = record;
  if (left === undefined || lastExit === undefined) return record;
  return { ...record, lastExit: { ...lastExit, message: `${lastExit.message}; ${left}` } };
}

export function startFailed(record: MachineRecord, failure: MachineFailure, ports: BackOffPorts): MachineRecord {
  // A failure that only a change of the manifest or the host can mend is tried again at the slowest pace, and the count
  // stays the same.
  const failures = failure.stalls ? Math.max(record.failures, 1) : record.failures + 1;
  const wait = failure.stalls ? ports.timeouts.backOffMaximum : backOff(failures, ports);
  const now = ports.clock.now();
  const failedStarts =
    failure.stalls && record.failedStarts ? record.failedStarts : withFailure(record.failedStarts, now);
  return { ...record, failures, failedStarts, retryAfter: new Date(now + wait).toISOString() };
}

/** n² units up to the maximum, jittered down by up to half (design §8). */
export function backOff(failures: number, { random, timeouts }: BackOffPorts): number {
  const full = Math.min(timeouts.backOffUnit * failures ** 2, timeouts.backOffMaximum);
  return full * (1 - random() / 2);
}

/** The earlier agent had decided to stop the VM, and the VM still runs. */
function isBeingStopped({ runtimeID, stage, stopReason }: MachineRecord, found: SystemProperties): boolean {
  return stage === 'stopping' && stopReason !== undefined && found.runtimeId === runtimeID && found.state !== 'Stopped';
}

/**
 * Whether the agent may adopt the VM (design §8): it outlived an earlier agent or runs under this one, it was running,
 * and it is still the same run.
 */
export function mayAdopt(record: MachineRecord, found: SystemProperties, agentBootID: string): boolean {
  return (
    record.stage === 'running' && outlives(record, agentBootID) && isUp(found) && found.runtimeId === record.runtimeID
  );
}

/** A VM that somebody paused on the host counts as running: it continues when it is resumed. */
function isUp({ state }: SystemProperties): boolean {
  return state === 'Running' || state === 'Paused';
}

function outlives({ agentBootID, applied }: MachineRecord, ownBootID: string): boolean {
  return applied?.outlivesAgent === true || agentBootID === ownBootID;
}

/** A running system that the record does not describe, for example because the agent's state folder was lost. */
export function isStranger({ runtimeID }: MachineRecord, found: SystemProperties): boolean {
  return isUp(found) && found.runtimeId !== runtimeID;
}

/** The agent terminated a stranger. The exit of an earlier run does not describe it. `left`: the fate of its disks. */
export function strangerEnded(record: MachineRecord, now: string, left?: string): MachineRecord {
  const message = 'the agent terminated the VM, of which its journal knew nothing';
  return withLeft({ ...record, lastExit: { type: 'AgentExit', time: now, message } }, left);
}

/** The VM is not adopted. `found`: the system that HCS has with its id. */
export function notAdopted(
  record: MachineRecord,
  found: SystemProperties | undefined,
  now: string,
  agentBootID: string,
): MachineRecord {
  if (found !== undefined && isBeingStopped(record, found)) return record;
  const isGone = found === undefined || !isUp(found);
  const ended = endedWhileAway(isGone ? withLeftDisks(record, agentBootID) : record, now, agentBootID);
  return found !== undefined && isStranger(record, found) ? strangerEnded(ended, now) : ended;
}

/** The VM ended while no agent was running. The exit is reported as such, once. */
function endedWhileAway(record: MachineRecord, now: string, agentBootID: string): MachineRecord {
  const recorded = record.lastExit !== undefined && record.lastExit.time >= (record.startTime ?? '');
  if (record.stage !== 'running' && (record.stage !== 'stopping' || recorded)) return record;
  const type = outlives(record, agentBootID) ? 'Unknown' : 'AgentExit';
  const how = type === 'Unknown' ? 'the VM ended while the agent was away' : exitTexts.AgentExit;
  const { left, stopReason, ...calm } = withoutFailures(record);
  const isToldSo = stopReason === undefined || stopReason === 'AgentRestarted';
  const message = isToldSo ? how : `${how}, which was stopping it (${stopReason})`;
  return withLeft({ ...calm, stage: 'stopping', lastExit: { type, time: now, message } }, left);
}

/** When an agent ended without the stop ladder, data that the guest had not synced is lost. */
function withLeftDisks(record: MachineRecord, agentBootID: string): MachineRecord {
  if (record.stage !== 'running' || outlives(record, agentBootID)) return record;
  const left = describeLeft(mountedWritable(record).map(leftOf), { kind: 'not', why: 'the agent ended before' });
  return left === undefined ? record : { ...record, left };
}

export function runtimeIdOf(properties: SystemProperties): RuntimeId {
  if (properties.runtimeId === undefined) throw new Error('HCS has not given the system a RuntimeId');
  return properties.runtimeId;
}
