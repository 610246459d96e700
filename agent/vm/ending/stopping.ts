// The state Stopping: runs the stop ladder, terminates the system, and closes the handles of the run.
import type { VirtualMachineCore } from '../core.ts';
import { toldExit } from '../crash-log.ts';
import { endsByItself } from '../exit-texts.ts';
import * as history from '../history.ts';
import { lost, type Outcome, type Situation } from '../situation.ts';
import { endLeftover } from '../system-creation.ts';
import { noteBootExit } from './boot-exit.ts';
import { leaveGuest } from './stop-ladder.ts';
import { terminateSystem } from './termination.ts';

const stopped: Outcome<'Stopping'> = { event: 'stopped', next: { state: 'Cleaning' } };

export async function stop(vm: VirtualMachineCore, { handles }: Situation<'Stopping'>): Promise<Outcome<'Stopping'>> {
  const { ports, store } = vm;
  const { stage: before } = store.record;
  store.change((record) => ({ ...record, stage: 'stopping' }));
  await store.tryWrite();
  if (handles.system === undefined && handles.idIsTaken) await endLeftover(vm, handles);
  const { system } = handles;
  if (system === undefined) return stopped;
  const left = await leaveGuest(vm, system, handles);
  if (left !== undefined) {
    store.change((record) => ({ ...record, left }));
    await store.tryWrite();
  }
  const end = await terminateSystem(system, ports.clock, ports.timeouts);
  if (end.kind === 'lost') return lost();
  if (before === 'starting' && endsByItself(end.exit)) noteBootExit(vm, end);
  // Without a stop reason the VM ended by itself: that exit was passed to the guest's log before.
  const exit = store.record.stopReason === undefined ? end.exit : toldExit(vm, end.exit);
  store.change(history.stopped, exit, vm.now(), left);
  vm.process.close();
  await handles.run?.close();
  handles.run = undefined;
  await vm.bounded('closeHandle', 'HcsCloseComputeSystem', () => system.close());
  handles.system = undefined;
  return stopped;
}
