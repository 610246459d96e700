// What is done under a call that has exceeded its bound (the state Draining): its system is terminated, since that is what
// makes a start or a creation return that hangs in HCS. The call itself is waited for: while it runs, nothing is done under
// the id. Only a creation that HCS does not even complete when it is terminated is given up, as hcsshim does.

import { messageOf } from '../../../runtime/error-text.ts';
import { bounded, CallOverdue, unlessAborted, within } from '../../bounds/bounded.ts';
import type { UnfinishedSystem } from '../../node/backend.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { MachineContext } from '../context.ts';
import type { MachineEvent } from '../states.ts';
import { endSoFar, isStopped } from './termination.ts';

/** Resolves with the event of Draining; undefined when the signal aborted. */
export async function drain(machine: MachineContext, signal: AbortSignal): Promise<MachineEvent | undefined> {
  const { clock, timeouts } = machine.ports;
  const isOver = unlessAborted(Promise.race([machine.lateResult(), exitOf(machine)]), signal);
  if (machine.system !== undefined && (await endSoFar(machine.system)) !== undefined) return await isOver;
  const requests = new TerminateRequests(machine);
  for (;;) {
    const isTaken = requests.make();
    const end = await within(clock, timeouts.exit, isOver);
    if (end !== 'waiting') {
      machine.overdue = undefined;
      return end;
    }
    if ((await isTaken) && machine.system === undefined) await giveUpCreation(machine);
    if (await hasStopped(machine)) {
      machine.overdue = undefined;
      return 'returned';
    }
  }
}

/** Once the system has exited, what still runs on it holds nothing up. */
async function exitOf({ system }: MachineContext): Promise<MachineEvent> {
  if (system === undefined) return await new Promise(() => {});
  return (await system.ended).kind === 'serviceDisconnected' ? 'lost' : 'returned';
}

/** In case its exit event was lost. */
async function hasStopped({ system, ports }: MachineContext): Promise<boolean> {
  if (system === undefined) return false;
  return await isStopped(system, ports.clock, ports.timeouts).catch(() => false);
}

/** Closing it makes the call come back. */
async function giveUpCreation(machine: MachineContext): Promise<void> {
  const { unfinished, ports } = machine;
  if (unfinished === undefined) return;
  ports.logger.warn('a creation that HCS does not complete is given up');
  await bounded(ports.clock, ports.timeouts.closeHandle, 'HcsCloseComputeSystem', () => unfinished.close()).catch(
    (error: unknown) => ports.logger.warn({ error: messageOf(error) }, 'the handle of a creation did not close'),
  );
}

/** One at a time. */
class TerminateRequests {
  readonly #machine: MachineContext;
  #underWay: Promise<boolean> | undefined;

  constructor(machine: MachineContext) {
    this.#machine = machine;
  }

  /** Whether HCS took the request, or had nothing to end. */
  make(): Promise<boolean> {
    const system = this.#machine.system ?? this.#machine.unfinished;
    if (system === undefined) return Promise.resolve(false);
    this.#underWay ??= this.#request(system);
    return this.#underWay;
  }

  async #request(system: UnfinishedSystem): Promise<boolean> {
    const { ports } = this.#machine;
    const { clock, timeouts } = ports;
    try {
      await bounded(clock, timeouts.terminate, 'HcsTerminateComputeSystem', () => system.terminate());
      this.#underWay = undefined;
      return true;
    } catch (error) {
      ports.logger.warn({ error: messageOf(error) }, 'a VM under a call that hangs was not terminated');
      const back = () => {
        this.#underWay = undefined;
      };
      if (error instanceof CallOverdue) error.late.then(back, back);
      else back();
      return error instanceof HcsError && (error.isAlreadyStopped || error.isNotFound);
    }
  }
}
