// The process of a VM that outlives its agent. It runs below a relay (`process-scripts.ts`), so that it survives the
// agent, and each later agent takes it over: it listens on the same port, and waits for the same process.
//
//   found in      the guest's note   then
//   starting      process ids        `running`: it is waited for
//   starting      nothing            the VM ends: nobody knows whether the process was started
//   running       exit code          the process has ended with it, also when the guest agent has forgotten the process
//   running       no exit code       it is waited for; if the guest agent does not know it, the exit code is lost
import { messageOf } from '../../../runtime/error-text.ts';
import { GuestRefusal } from '../../guest/bridge/errors.ts';
import { inTime } from '../../guest/bridge/mount-look.ts';
import { noteCommand, type ProcessNote, parseNote } from '../../guest/bridge/process-scripts.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { Situation } from '../situation.ts';
import { endVM } from './end.ts';
import { outputToLog, tellOfProcessGap } from './log-output.ts';
import { processChanged } from './record.ts';
import { relayPort } from './state.ts';

/** How often the guest is asked for the exit code when its answers are lost. */
const maxQuestions = 3;

/** Listens for the relay before the process is started. Resolves with the port. */
export async function listenForProcess(vm: VirtualMachineCore, run: GuestRun, known?: number): Promise<number> {
  const { output, port } = await run.listenForRelay(known);
  vm.process.hear({ run, stream: output, output: outputToLog(vm, { stdout: output }) });
  return port;
}

/** Continues with a process that an earlier agent has started. Does nothing when this run has taken it over already. */
export async function takeOverProcess(vm: VirtualMachineCore, run: GuestRun): Promise<void> {
  const { process } = vm.store.record;
  const port = relayPort(process);
  if (port === undefined || vm.process.relayOf(run) !== undefined) return;
  tellOfProcessGap(vm);
  await listenForProcess(vm, run, port);
  if (process?.state === 'running') followRelayed(vm, run, process.pid, run.exitOf(process.pid));
}

/** @param exitCode the first answer of the guest */
export function followRelayed(vm: VirtualMachineCore, run: GuestRun, pid: number, exitCode: Promise<number>): void {
  const relay = vm.process.relayOf(run);
  if (relay === undefined) return;
  // The relay has sent everything before it ends.
  const end = exitCodeOf(vm, run, pid, exitCode).finally(() => relay.stream.relayEnded());
  vm.process.follow(vm.store.record.boot, { exitCode: end }, relay.output);
}

async function exitCodeOf(
  vm: VirtualMachineCore,
  run: GuestRun,
  pid: number,
  exitCode: Promise<number>,
  questions = 1,
): Promise<number> {
  try {
    return await exitCode;
  } catch (error) {
    if (run.over.aborted) throw error;
    const note = await readNote(vm, run).catch((lost: unknown) => {
      vm.ports.logger.warn({ error: messageOf(lost) }, 'the guest does not say how the process has ended');
    });
    if (note?.exitCode !== undefined) return note.exitCode;
    if (note !== undefined || questions === maxQuestions) throw error;
    return await exitCodeOf(vm, run, pid, run.exitOf(pid), questions + 1);
  }
}

/** Finds out whether a process in `starting` was started. True when the VM is to end, because nobody knows. */
export async function settleStart(
  vm: VirtualMachineCore,
  { changes, run }: Pick<Situation<'Running'>, 'changes' | 'run'>,
): Promise<boolean> {
  if (!run.guestConnected || changes.leaving.isWanted) return false;
  let note: ProcessNote;
  try {
    note = await changes.leaving.unless(readNote(vm, run));
  } catch (error) {
    if (!(error instanceof GuestRefusal)) return notAnswered(vm, error);
    endVM(vm, { kind: 'lost' }, messageOf(error));
    return true;
  }
  if (note.pid === undefined) {
    endVM(vm, { kind: 'lost' });
    return true;
  }
  vm.store.change(processChanged, { kind: 'started', pid: note.pid }, vm.now());
  followRelayed(vm, run, note.pid, run.exitOf(note.pid));
  vm.listener.changed();
  await vm.store.tryWrite();
  return false;
}

/** The guest is asked again when its bridge comes up, and at the next look at the VM. */
function notAnswered(vm: VirtualMachineCore, error: unknown): false {
  vm.ports.logger.warn({ error: messageOf(error) }, 'the guest does not say whether the process was started');
  return false;
}

async function readNote({ ports }: VirtualMachineCore, run: GuestRun): Promise<ProcessNote> {
  const { clock, timeouts } = ports;
  const text = await inTime(run.read(noteCommand), clock, timeouts.mountLook);
  const note = parseNote(text);
  if (note === undefined) throw new Error('the script that reads the note has written something else');
  return note;
}
