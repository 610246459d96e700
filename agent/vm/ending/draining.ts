// The state Draining: a call has exceeded its bound. The agent terminates the system, because this makes a start or a
// creation that hangs return. Then it awaits the call: while the call runs, nothing else may be done with the same id.
// If HCS does not complete a creation even after termination, the agent gives up the creation, as hcsshim does.

import { messageOf } from '../../../runtime/error-text.ts';
import { bounded, CallOverdue, unlessAborted, within } from '../../bounds/bounded.ts';
import type { UnfinishedSystem } from '../../node/backend.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { Handles } from '../handles.ts';
import { lost, type Outcome, type Situation } from '../situation.ts';
import { lateResult } from './late-call.ts';
import { endSoFar, isStopped } from './termination.ts';

/** Undefined when the signal aborted. */
export async function drain(
  vm: VirtualMachineCore,
  { handles, overdue }: Situation<'Draining'>,
  signal: AbortSignal,
): Promise<Outcome<'Draining'> | undefined> {
  const givenUp = new AbortController();
  const late = lateResult(vm, overdue, { handles, givenUp: givenUp.signal });
  const isOver = unlessAborted(Promise.race([late, exitOf(handles)]), signal);
  const end = await untilOver(vm, handles, isOver);
  // A result that arrives after the system has exited is too late to be kept.
  givenUp.abort();
  if (end === undefined) return undefined;
  return end === 'lost' ? lost() : { event: 'returned', next: { state: 'Stopping', handles } };
}

type Over = 'returned' | 'lost' | undefined;

async function untilOver(vm: VirtualMachineCore, handles: Handles, isOver: Promise<Over>): Promise<Over> {
  const { clock, timeouts } = vm.ports;
  if (handles.system !== undefined && (await endSoFar(handles.system)) !== undefined) return await isOver;
  const requests = new TerminateRequests(vm, handles);
  for (;;) {
    const isTaken = requests.make();
    const end = await within(clock, timeouts.exit, isOver);
    if (end !== 'waiting') return end;
    if ((await isTaken) && handles.system === undefined) await giveUpCreation(vm, handles);
    if (await hasStopped(vm, handles)) return 'returned';
  }
}

/** Resolves when the system has exited: calls that are still under way no longer matter then. */
async function exitOf({ system }: Handles): Promise<'returned' | 'lost'> {
  if (system === undefined) return await new Promise(() => {});
  return (await system.ended).kind === 'serviceDisconnected' ? 'lost' : 'returned';
}

/** Asks for the state of the system, in case its exit event was lost. */
async function hasStopped({ ports }: VirtualMachineCore, { system }: Handles): Promise<boolean> {
  if (system === undefined) return false;
  return await isStopped(system, ports.clock, ports.timeouts).catch(() => false);
}

/** Closing the unfinished system makes the call return. */
async function giveUpCreation({ ports }: VirtualMachineCore, { unfinished }: Handles): Promise<void> {
  if (unfinished === undefined) return;
  ports.logger.warn('a creation that HCS does not complete is given up');
  await bounded(ports.clock, ports.timeouts.closeHandle, 'HcsCloseComputeSystem', () => unfinished.close()).catch(
    (error: unknown) => ports.logger.warn({ error: messageOf(error) }, 'the handle of a creation did not close'),
  );
}

/** Makes requests to terminate, one at a time. */
class TerminateRequests {
  readonly #vm: VirtualMachineCore;
  readonly #handles: Handles;
  #underWay: Promise<boolean> | undefined;

  constructor(vm: VirtualMachineCore, handles: Handles) {
    this.#vm = vm;
    this.#handles = handles;
  }

  /** Whether HCS accepted the request, or there was nothing to terminate. */
  make(): Promise<boolean> {
    const system = this.#handles.system ?? this.#handles.unfinished;
    if (system === undefined) return Promise.resolve(false);
    this.#underWay ??= this.#request(system);
    return this.#underWay;
  }

  async #request(system: UnfinishedSystem): Promise<boolean> {
    const { ports } = this.#vm;
    const { clock, timeouts } = ports;
    try {
      await bounded(clock, timeouts.terminate, 'HcsTerminateComputeSystem', () => system.terminate());
      this.#underWay = undefined;
      return true;
    } catch (error) {
      ports.logger.warn({ error: messageOf(error) }, 'a VM with a hanging call could not be terminated');
      const back = () => {
        this.#underWay = undefined;
      };
      if (error instanceof CallOverdue) error.late.then(back, back);
      else back();
      return error instanceof HcsError && (error.isAlreadyStopped || error.isNotFound);
    }
  }
}
