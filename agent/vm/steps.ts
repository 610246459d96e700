// What is done in each state of a VM (`states.ts`), and which event it ends with; undefined when nothing happened
// yet. A step may throw: `virtual-machine.ts` makes an event of that. Every step can be cut off at any point: the journal
// is written before an effect is acquired, and what may have been acquired is undone before anything is begun anew.

import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import type { ComputeSystem, SystemEnd, SystemExit, SystemProperties } from '../node/backend.ts';
import { HcsError, hresult } from '../node/hcs-error.ts';
import { GuestRun } from '../run/guest-run.ts';
import { applyLiveChanges, untilNextChange } from './changes/apply.ts';
import { takeAccessBack } from './changes/disks.ts';
import { type MachineContext, noChange } from './context.ts';
import { toldExit } from './crash-log.ts';
import { drain } from './ending/draining.ts';
import { leaveGuest } from './ending/stop-ladder.ts';
import { endSoFar, isStopped, terminateSystem } from './ending/termination.ts';
import * as history from './history.ts';
import { giveBack, reserveForStart, settleReservations } from './reserving.ts';
import { stage } from './staging.ts';
import type { MachineEvent, MachineState } from './states.ts';
import { createReplacing, endLeftover } from './system-creation.ts';

type Step = (machine: MachineContext, signal: AbortSignal) => Promise<MachineEvent | undefined>;

export const steps: Readonly<Record<MachineState, Step>> = {
  Unknown: recover,
  Idle: idle,
  Preparing: prepare,
  Creating: create,
  Starting: start,
  Running: watch,
  Stopping: stop,
  Draining: drain,
  Cleaning: clean,
  Forgotten: async () => undefined,
};

// --- what is there ----------------------------------------------------------------------------------------------------

async function recover(machine: MachineContext, signal: AbortSignal): Promise<MachineEvent | undefined> {
  if (machine.overdue !== undefined) return 'overdue';
  const { found, ports, record, released } = machine;
  // A system that no journal knows is reported and left alone until the operator assigns or releases it.
  const isStranger = found?.properties !== undefined && record.assignment === undefined && !released;
  if (found === undefined || isStranger) return machine.sleep(undefined, signal);
  const { properties } = found;
  // A life that begins again has its handle still.
  const system = properties === undefined ? machine.system : await openFound(machine);
  if (system !== undefined && properties !== undefined && history.mayAdopt(record, properties, ports.agentBootID)) {
    await adopt(machine, properties);
    return 'adopted';
  }
  await noteExit(machine);
  if (system === undefined) await machine.run?.close();
  if (system === undefined) machine.run = undefined;
  const isStopping = system !== undefined && properties !== undefined && history.isBeingStopped(record, properties);
  if (!isStopping) machine.record = history.endedWhileAway(machine.record, machine.now(), ports.agentBootID);
  machine.found = undefined;
  machine.clearTrouble('HostQueryFailed', 'CallOverdue');
  return system === undefined ? 'foundNothing' : 'leftover';
}

/** Undefined when it has gone since it was enumerated, as one whose last handle ran down with a dying agent. */
async function openFound(machine: MachineContext): Promise<ComputeSystem | undefined> {
  const { backend } = machine.ports;
  try {
    machine.system ??= await machine.bounded('query', 'HcsOpenComputeSystem', () => backend.open(machine.systemID));
    return machine.system;
  } catch (error) {
    if (error instanceof HcsError && error.isNotFound) return undefined;
    throw error;
  }
}

/** Of a VM whose handle tells how it ended. */
async function noteExit(machine: MachineContext): Promise<void> {
  const { ports, record, system } = machine;
  const end = record.stage === 'running' && system !== undefined ? await endSoFar(system) : undefined;
  if (end?.kind === 'exited') machine.record = history.exited(record, toldExit(machine, end.exit), ports);
}

async function adopt(machine: MachineContext, properties: SystemProperties): Promise<void> {
  const { logger } = machine.ports;
  // A guest that is heard is not cut off: one whose log nobody relays would die of it.
  if (machine.run === undefined) await hearGuest(machine, properties);
  machine.found = undefined;
  machine.clearTrouble('HostQueryFailed', 'CallOverdue', 'InternalError');
  logger.info({ runtimeID: properties.runtimeId }, 'adopted the running VM');
}

async function hearGuest(machine: MachineContext, properties: SystemProperties): Promise<void> {
  await machine.continueLog();
  machine.run = await GuestRun.open(machine.ports.sockets, history.runtimeIdOf(properties), machine.guestRunPorts());
  await machine.tryWrite();
  machine.run.resume();
}

// --- on the way up ----------------------------------------------------------------------------------------------------

async function idle(machine: MachineContext, signal: AbortSignal): Promise<MachineEvent | undefined> {
  if (machine.released) {
    giveBack(machine);
    await machine.flushGuestLog();
    await machine.ports.journal.remove(machine.uid);
    return 'forget';
  }
  const decision = machine.decide('absent');
  if (decision.kind === 'settled' && decision.reason === 'Halted') {
    machine.record = history.withoutFailures(machine.record);
  }
  if (decision.kind !== 'start') {
    giveBack(machine);
    return machine.sleep(undefined, signal);
  }
  const wait = Math.max(decision.notBefore, machine.heldUpUntil) - machine.ports.clock.now();
  return wait > 0 ? machine.sleep(wait, signal) : 'start';
}

async function prepare(machine: MachineContext): Promise<MachineEvent> {
  const { ports } = machine;
  const { assignment } = machine.record;
  if (assignment === undefined) throw new MachineFailure('HostQueryFailed', 'nothing was assigned');
  machine.interrupt = new AbortController();
  const preparing = ports.prepare(assignment);
  // Awaited below, after the log.
  preparing.catch(() => undefined);
  await machine.continueLog();
  const begin = () => history.attemptBegun(machine.record, assignment, ports.agentBootID);
  const plan = await preparing.catch((error: unknown) => {
    machine.record = begin();
    throw error;
  });
  // A VM that has to wait has not begun anything.
  await reserveForStart(machine, plan);
  machine.record = begin();
  machine.plan = plan;
  machine.record = history.planned(machine.record, plan, machine.now());
  // Without files of its own nothing is acquired before the system, and `create` writes before that.
  if (plan.staging.length > 0) await machine.write();
  await stage(plan.staging, ports);
  return unlessInterrupted(machine, 'prepared');
}

async function create(machine: MachineContext): Promise<MachineEvent> {
  const { document } = machine.currentPlan();
  machine.record = { ...machine.record, stage: 'creating' };
  await machine.write();
  const kept = keepDocument(machine, document);
  try {
    await createSystem(machine, document);
  } finally {
    await kept;
  }
  return unlessInterrupted(machine, 'created');
}

/** The journal says that the system is being started as soon as it exists: the write need not be waited for twice. */
async function createSystem(machine: MachineContext, document: string): Promise<void> {
  const { sockets } = machine.ports;
  const system = await createReplacing(machine, document);
  const properties = await machine.bounded('query', 'HcsGetComputeSystemProperties', () => system.properties());
  machine.record = history.created(machine.record, properties, machine.now());
  const runPorts = machine.guestRunPorts();
  machine.record = { ...machine.record, stage: 'starting' };
  const written = machine.write();
  // Awaited below, after the listeners.
  written.catch(() => undefined);
  machine.run = await GuestRun.open(sockets, history.runtimeIdOf(properties), runPorts);
  await written;
}

/** For people to look at: a disk that does not take it is no reason not to boot. */
async function keepDocument({ ports, uid }: MachineContext, document: string): Promise<void> {
  await ports.sentDocuments?.keep(uid, document).catch((error: unknown) => {
    ports.logger.warn({ error: messageOf(error) }, 'the document of the VM cannot be kept');
  });
}

async function start(machine: MachineContext): Promise<MachineEvent> {
  const plan = machine.currentPlan();
  machine.change = noChange;
  machine.mountsFailed.clear();
  machine.unanswered = 0;
  machine.guestLeft = undefined;
  machine.log.beginBoot(machine.record.boot);
  const system = machine.currentSystem();
  const booting = machine.currentRun().boot(system, plan, machine.interrupt.signal);
  const guest = await booting.catch(async (error: unknown) => {
    noteBootExit(machine, await endSoFar(system));
    throw error;
  });
  machine.record = history.up(machine.record, guest, machine.log.summary(), machine.now());
  machine.trouble = undefined;
  // Durable before it is reported: a `Once` VM that was Running never runs again.
  await machine.write();
  return 'up';
}

/** How a VM ended that was not up yet, and not by us. Rejects when nothing is known of it. */
function noteBootExit(machine: MachineContext, end: SystemEnd | undefined): void {
  if (end?.kind === 'serviceDisconnected') throw new HcsError('HcsStartComputeSystem', hresult.serviceDisconnect);
  if (end?.kind !== 'exited' || history.hasBootExit(machine.record)) return;
  machine.record = history.endedWhileBooting(machine.record, toldExit(machine, end.exit), machine.now());
}

function unlessInterrupted(machine: MachineContext, event: MachineEvent): MachineEvent {
  return machine.interrupt.signal.aborted ? 'failed' : event;
}

// --- while it runs ----------------------------------------------------------------------------------------------------

async function watch(machine: MachineContext, signal: AbortSignal): Promise<MachineEvent | undefined> {
  const decision = machine.decide('running');
  if (decision.kind === 'stop') {
    machine.record = history.stopDecided(machine.record, decision.reason);
    return 'stop';
  }
  machine.leaving.end();
  if (decision.kind === 'settled') await applyLiveChanges(machine);
  const system = machine.currentSystem();
  const { clock } = machine.ports;
  const wait = untilNextChange(machine);
  const wakes = clock.now() + wait;
  const happened = await Promise.race([system.ended, machine.sleep(wait, signal)]);
  if (happened !== undefined) return exitObserved(machine, happened);
  // Woken before its time: a guest that ends closes its bridge, and the event that says how it ended is yet to come.
  if (clock.now() < wakes) return undefined;
  if (signal.aborted || !(await hasStopped(machine, system))) return undefined;
  return exitObserved(machine, { kind: 'exited', exit: { exitType: 'Unknown', status: 0 } });
}

/** A slow answer is no sign of a stop; the next question is asked once it has come. */
async function hasStopped({ ports }: MachineContext, system: ComputeSystem): Promise<boolean> {
  try {
    return await isStopped(system, ports.clock, ports.timeouts);
  } catch (error) {
    if (!(error instanceof CallOverdue)) throw error;
    ports.logger.warn({ error: error.message }, 'the state of the VM cannot be read');
    await Promise.race([system.ended, error.late.catch(() => undefined)]);
    return false;
  }
}

function exitObserved(machine: MachineContext, end: SystemEnd): MachineEvent {
  if (end.kind === 'serviceDisconnected') return 'lost';
  const exit = end.kind === 'exited' ? end.exit : { exitType: 'Unknown' as const, status: 0 };
  machine.record = history.exited(machine.record, toldExit(machine, exit), machine.ports);
  return 'exited';
}

// --- on the way down --------------------------------------------------------------------------------------------------

async function stop(machine: MachineContext): Promise<MachineEvent> {
  const { clock, timeouts } = machine.ports;
  const { stage: before } = machine.record;
  machine.leaving.end();
  machine.record = { ...machine.record, stage: 'stopping' };
  await machine.tryWrite();
  if (machine.system === undefined && machine.idIsTaken) await endLeftover(machine);
  const { system } = machine;
  if (system === undefined) return 'stopped';
  const left = await leaveGuest(machine, system);
  const end = await terminateSystem(system, clock, timeouts);
  if (end.kind === 'lost') return 'lost';
  if (before === 'starting' && endsByItself.has(end.exit.exitType)) noteBootExit(machine, end);
  // An exit that was not ours has been told.
  const exit = machine.record.stopReason === undefined ? end.exit : toldExit(machine, end.exit);
  machine.record = history.stopped(machine.record, exit, machine.now(), left);
  await machine.run?.close();
  machine.run = undefined;
  await machine.bounded('closeHandle', 'HcsCloseComputeSystem', () => system.close());
  machine.system = undefined;
  return 'stopped';
}

/** What no request of ours to terminate makes of a system. */
const endsByItself: ReadonlySet<SystemExit['exitType']> = new Set(['GracefulExit', 'UnexpectedExit']);

async function clean(machine: MachineContext): Promise<MachineEvent> {
  const { host } = machine.ports;
  for (const { kind, path } of machine.record.acquired) {
    if (kind === 'access') await takeAccessBack(machine, path);
    else await machine.bounded('copy', 'DeleteFileW', () => host.deleteFile(path));
  }
  machine.plan = undefined;
  machine.record = history.cleaned(machine.record, machine.log.summary());
  machine.clearTrouble('CleanUpFailed', 'StopFailed');
  settleReservations(machine);
  // Whatever comes next is written after it, and cleaning again does no harm.
  void machine.tryWrite();
  return 'cleaned';
}
