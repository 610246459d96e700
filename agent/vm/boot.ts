// The states of a boot, from Idle to Starting.
import { messageOf } from '../../runtime/error-text.ts';
import { MachineFailure } from '../failure.ts';
import { GuestRun } from '../run/guest-run.ts';
import { LiveChanges } from './changes/progress.ts';
import type { VirtualMachineCore } from './core.ts';
import { noteBootExit } from './ending/boot-exit.ts';
import { endSoFar } from './ending/termination.ts';
import { guestRunPorts } from './guest-run-ports.ts';
import { Handles } from './handles.ts';
import * as history from './history.ts';
import type { MachineRecord } from './record.ts';
import { giveBack, reserveForStart } from './reserving.ts';
import type { Outcome, Situation } from './situation.ts';
import { stage } from './staging.ts';
import { createReplacing } from './system-creation.ts';

export async function idle(vm: VirtualMachineCore, signal: AbortSignal): Promise<Outcome<'Idle'> | undefined> {
  const { claim, end, log, ports, store } = vm;
  if (end.released) {
    giveBack(vm);
    await log.flush();
    await ports.journal.remove(vm.uid);
    return { event: 'forget', next: { state: 'Forgotten' } };
  }
  const decision = vm.decide('absent');
  if (decision.kind === 'settled' && decision.reason === 'Halted') store.change(history.withoutFailures);
  if (decision.kind !== 'start') {
    giveBack(vm);
    return await vm.sleep(undefined, signal);
  }
  const wait = Math.max(decision.notBefore, claim.heldUpUntil) - ports.clock.now();
  if (wait > 0) return await vm.sleep(wait, signal);
  return { event: 'start', next: { state: 'Preparing', interrupt: new AbortController() } };
}

export async function prepare(
  vm: VirtualMachineCore,
  { interrupt }: Situation<'Preparing'>,
): Promise<Outcome<'Preparing'>> {
  const { ports, store } = vm;
  const { assignment } = store.record;
  if (assignment === undefined) throw new MachineFailure('HostQueryFailed', 'nothing was assigned');
  const preparing = vm.lookUp('the preparation of the boot', () => ports.prepare(assignment));
  // Awaited below, after the log has been continued.
  preparing.catch(() => undefined);
  await vm.log.continueEarlier(store);
  const begin = () => store.change(history.attemptBegun, assignment, ports.agentBootID);
  const plan = await preparing.catch((error: unknown) => {
    begin();
    throw error;
  });
  // When the VM has to wait for a reservation, this throws, and no attempt has begun.
  await reserveForStart(vm, plan);
  begin();
  store.change(history.planned, plan, vm.now());
  // Without staged files, the system is the first thing that is acquired, and `create` writes the record before that.
  if (plan.staging.length > 0) await store.write();
  await stage(plan.staging, ports);
  if (interrupt.signal.aborted) return { event: 'failed', next: { state: 'Cleaning' } };
  return { event: 'prepared', next: { state: 'Creating', plan, interrupt, handles: new Handles() } };
}

export async function create(
  vm: VirtualMachineCore,
  { handles, interrupt, plan }: Situation<'Creating'>,
): Promise<Outcome<'Creating'>> {
  vm.store.change(atStage, 'creating');
  await vm.store.write();
  const kept = keepDocument(vm, plan.document);
  const made = await createSystem(vm, handles, plan.document).finally(() => kept);
  if (interrupt.signal.aborted) return { event: 'failed', next: { state: 'Stopping', handles } };
  return { event: 'created', next: { state: 'Starting', plan, interrupt, ...made } };
}

/** Records the stage `starting` as soon as the system exists, and writes it while the listeners are opened. */
async function createSystem(
  vm: VirtualMachineCore,
  handles: Handles,
  document: string,
): Promise<Pick<Situation<'Starting'>, 'system' | 'run'>> {
  const { ports, store } = vm;
  const system = await createReplacing(vm, handles, document);
  const properties = await vm.bounded('query', 'HcsGetComputeSystemProperties', () => system.properties());
  store.change(history.created, properties, vm.now());
  const runPorts = guestRunPorts(vm);
  store.change(atStage, 'starting');
  const written = store.write();
  // Awaited below, after the listeners are open.
  written.catch(() => undefined);
  const run = await GuestRun.open(ports.sockets, history.runtimeIdOf(properties), runPorts);
  handles.run = run;
  await written;
  return { system, run };
}

/** Keeps the document for users to read. If it cannot be written, the VM boots all the same. */
async function keepDocument({ ports, uid }: VirtualMachineCore, document: string): Promise<void> {
  await ports.sentDocuments?.keep(uid, document).catch((error: unknown) => {
    ports.logger.warn({ error: messageOf(error) }, 'the document of the VM cannot be kept');
  });
}

export async function start(
  vm: VirtualMachineCore,
  { interrupt, plan, run, system }: Situation<'Starting'>,
): Promise<Outcome<'Starting'>> {
  const { excerpt } = vm.log;
  const { store } = vm;
  excerpt.beginBoot(store.record.boot);
  const guest = await run.boot(system, plan, interrupt.signal).catch(async (error: unknown) => {
    noteBootExit(vm, await endSoFar(system));
    throw error;
  });
  store.change(history.up, guest, excerpt.summary(), vm.now());
  store.clearTrouble();
  // Durable before it is reported: a `Once` VM that was Running never runs again.
  await store.write();
  return { event: 'up', next: { state: 'Running', system, run, changes: new LiveChanges(vm.listener.changed) } };
}

function atStage(record: MachineRecord, at: MachineRecord['stage']): MachineRecord {
  return { ...record, stage: at };
}
