// The state Running: makes live changes and watches the VM, until it is to be stopped or has ended.
import { CallOverdue, within } from '../bounds/bounded.ts';
import type { ComputeSystem, SystemEnd } from '../node/backend.ts';
import { applyLiveChanges, untilNextChange } from './changes/apply.ts';
import type { VirtualMachineCore } from './core.ts';
import { toldExit } from './crash-log.ts';
import { isStopped } from './ending/termination.ts';
import * as history from './history.ts';
import { noteProcessEnd, tendProcess } from './process/tend.ts';
import { handlesOf, lost, type Outcome, type Situation } from './situation.ts';

type Step = Promise<Outcome<'Running'> | undefined>;

export async function watch(vm: VirtualMachineCore, running: Situation<'Running'>, signal: AbortSignal): Step {
  const { changes, system } = running;
  const decision = vm.decide('running');
  if (decision.kind === 'stop') {
    vm.store.change(history.stopDecided, decision.reason);
    return { event: 'stop', next: { state: 'Stopping', handles: handlesOf(running) } };
  }
  changes.leaving.end();
  if (decision.kind === 'settled') await applyLiveChanges(vm, running);
  if (await tendProcess(vm, running, decision.kind === 'settled')) return ended(running);
  const { clock } = vm.ports;
  const wait = untilNextChange(vm, changes);
  const wakes = clock.now() + wait;
  const happened = await Promise.race([system.ended, vm.sleep(wait, signal)]);
  if (happened !== undefined) return exitObserved(vm, running, happened);
  // Woken early: a guest that ends closes its bridge first, and its exit event comes a little later.
  if (clock.now() < wakes) return undefined;
  if (signal.aborted || !(await hasStopped(vm, system))) return undefined;
  const end = await within(clock, vm.ports.timeouts.exitEvent, system.ended);
  return exitObserved(vm, running, end === 'waiting' ? { kind: 'closed' } : end);
}

/** A slow answer is no sign of a stop. The next question follows once the answer has arrived. */
async function hasStopped({ ports }: VirtualMachineCore, system: ComputeSystem): Promise<boolean> {
  try {
    return await isStopped(system, ports.clock, ports.timeouts);
  } catch (error) {
    if (!(error instanceof CallOverdue)) throw error;
    ports.logger.warn({ error: error.message }, 'the state of the VM cannot be read');
    await Promise.race([system.ended, error.late.catch(() => undefined)]);
    return false;
  }
}

function exitObserved(vm: VirtualMachineCore, running: Situation<'Running'>, end: SystemEnd): Outcome<'Running'> {
  if (end.kind === 'serviceDisconnected') return lost();
  const exit = end.kind === 'exited' ? end.exit : { exitType: 'Unknown' as const, status: 0 };
  const told = toldExit(vm, exit);
  if (!noteProcessEnd(vm, 'atOnce')) vm.store.change(history.exited, told, vm.ports);
  return ended(running);
}

function ended(running: Situation<'Running'>): Outcome<'Running'> {
  return { event: 'exited', next: { state: 'Stopping', handles: handlesOf(running) } };
}
