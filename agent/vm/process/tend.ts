// The process of a running VM: it is started once all disks are there, and its end ends the VM. A part of the state
// Running. The journal has `starting` before the guest is asked, so no agent starts a process twice in one run.
import { messageOf } from '../../../runtime/error-text.ts';
import { within } from '../../bounds/bounded.ts';
import { GuestRefusal } from '../../guest/bridge/errors.ts';
import { defaultEnvironment, type GuestCommand } from '../../guest/bridge/process-request.ts';
import { relayedCommand } from '../../guest/bridge/process-scripts.ts';
import type { GuestProcess } from '../../guest/bridge/processes.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import { disksToAttach, disksToDetach } from '../changes/options.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { MachineRecord } from '../record.ts';
import type { Situation } from '../situation.ts';
import { endVM } from './end.ts';
import type { ProcessEnd } from './live-process.ts';
import { outputToLog } from './log-output.ts';
import { hasProcess, processChanged } from './record.ts';
import { followRelayed, listenForProcess, settleStart } from './relayed.ts';
import { relayPort } from './state.ts';

type Running = Pick<Situation<'Running'>, 'changes' | 'run' | 'system'>;

/**
 * Starts the process when it is due. True when the process has ended, or will never run: then the VM is to end, and its
 * record says how.
 *
 * @param mayStart false while the agent is to leave the VM as it is
 */
export async function tendProcess(vm: VirtualMachineCore, running: Running, mayStart: boolean): Promise<boolean> {
  const { record } = vm.store;
  if (!hasProcess(record)) return false;
  switch (record.process?.state) {
    case undefined:
      return mayStart && isDue(record, running) ? await startProcess(vm, running) : false;
    case 'running':
      return noteProcessEnd(vm, 'afterOutput');
    case 'starting':
      if (relayPort(record.process) !== undefined) return await settleStart(vm, running);
      // An error has cut the start off. The guest may have been asked.
      endVM(vm, { kind: 'lost' });
      return true;
    default:
      return true;
  }
}

/** Notes the end of the process, if it has ended: at once, or when its output was read. */
export function noteProcessEnd(vm: VirtualMachineCore, when: 'atOnce' | 'afterOutput'): boolean {
  const { process } = vm.store.record;
  const end = process?.state === 'running' ? endOf(vm, when) : undefined;
  if (end === undefined) return false;
  if (end.kind === 'exited') endVM(vm, end);
  else endVM(vm, end, end.why);
  return true;
}

function endOf({ process, store }: VirtualMachineCore, when: 'atOnce' | 'afterOutput'): ProcessEnd | undefined {
  const { boot } = store.record;
  if (process.isFollowed(boot)) return when === 'atOnce' ? process.endOf(boot) : process.endAfterOutput(boot);
  return { kind: 'lost', why: 'another agent has started it' };
}

function isDue(record: MachineRecord, { changes, run }: Running): boolean {
  const disksAreThere = disksToDetach(record).length === 0 && disksToAttach(record).length === 0;
  return disksAreThere && run.guestConnected && !changes.latest.isOverdue && !changes.leaving.isWanted;
}

/** True when the VM is to end, because the process does not run. */
async function startProcess(vm: VirtualMachineCore, running: Running): Promise<boolean> {
  const { store } = vm;
  const { run } = running;
  const relayed = store.record.applied?.outlivesAgent === true;
  const port = relayed ? await listenForProcess(vm, run) : undefined;
  await announceStart(vm, port);
  if (!run.guestConnected) {
    store.change(processChanged, { kind: 'notBegun' }, vm.now());
    return false;
  }
  let started: GuestProcess;
  try {
    const asked = askToStart(run, commandOf(store.record), port);
    started = await running.changes.leaving.unless(asked);
  } catch (error) {
    return await notStarted(vm, running, error);
  }
  store.change(processChanged, { kind: 'started', pid: started.id }, vm.now());
  if (port === undefined) follow(vm, run, started);
  else followRelayed(vm, run, started.id, started.exitCode);
  vm.listener.changed();
  await store.tryWrite();
  // It may have ended meanwhile.
  return noteProcessEnd(vm, 'afterOutput');
}

const wantedStreams = { stdin: false, stdout: true, stderr: true, isOptional: true };
const noStreams = { stdin: false, stdout: false, stderr: false };

/** @param port of the relay that the process is to run below */
function askToStart(run: GuestRun, command: GuestCommand, port: number | undefined): Promise<GuestProcess> {
  return port === undefined
    ? run.execute(command, wantedStreams, run.over)
    : run.execute(relayedCommand(command, port), noStreams, run.over);
}

function follow(vm: VirtualMachineCore, run: GuestRun, started: GuestProcess): void {
  const output = outputToLog(vm, started);
  run.over.addEventListener('abort', () => output.close(), { once: true });
  vm.process.follow(vm.store.record.boot, started, output);
}

/** Without a journal, nothing is started. */
async function announceStart(vm: VirtualMachineCore, port: number | undefined): Promise<void> {
  const { store } = vm;
  store.change(processChanged, { kind: 'starting', port }, vm.now());
  try {
    await store.write();
  } catch (error) {
    store.change(processChanged, { kind: 'notBegun' }, vm.now());
    throw error;
  }
  vm.listener.changed();
}

async function notStarted(vm: VirtualMachineCore, { changes, system }: Running, error: unknown): Promise<boolean> {
  const why = messageOf(error);
  if (error instanceof GuestRefusal) {
    const reason = isByPolicy(vm.store.record, why) ? 'ProcessNotAllowed' : 'ProcessNotStarted';
    if (reason === 'ProcessNotAllowed') vm.store.setTrouble({ reason, message: why });
    endVM(vm, { kind: 'refused', reason }, why);
    return true;
  }
  // The VM is stopped anyway, or its guest is gone, which the watch over the VM finds out.
  if (changes.leaving.isWanted) return false;
  // The guest is asked for its note as soon as it is connected.
  if (relayPort(vm.store.record.process) !== undefined) return false;
  if ((await within(vm.ports.clock, vm.ports.timeouts.exitEvent, system.ended)) !== 'waiting') return false;
  endVM(vm, { kind: 'lost' }, why);
  return true;
}

function isByPolicy({ applied }: MachineRecord, message: string): boolean {
  return (applied?.options.SecurityPolicy ?? '') !== '' && /polic/i.test(message);
}

export function commandOf({ applied }: Pick<MachineRecord, 'applied'>): GuestCommand {
  const { ProcessCommand = [], ProcessEnvironment = [], ProcessWorkingDirectory } = applied?.options ?? {};
  return {
    args: ProcessCommand,
    // The last of equal names wins.
    environment: [...defaultEnvironment, ...ProcessEnvironment],
    ...(ProcessWorkingDirectory !== undefined && { workingDirectory: ProcessWorkingDirectory }),
  };
}
