// One VM on this host: a state machine that runs on the table of `states.ts`, which has the diagram. The steps are
// in `steps.ts`; here is what drives them, what becomes of their failures, and what others may ask and say.
import type { Logger } from 'pino';
import type { Intent } from '../../protocol/intent.ts';
import type { Assignment, LastExit, ObservedVirtualMachine } from '../../protocol/messages.ts';
import { delay } from '../../runtime/clock.ts';
import { CallOverdue, unlessAborted } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import type { SystemId, SystemProperties, SystemStatistics } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import { expectationsOf } from '../run/expectations.ts';
import { MachineContext } from './context.ts';
import { GuestAccess } from './guest-access.ts';
import * as history from './history.ts';
import { isOwnFault } from './internal-errors.ts';
import { prepareRestart } from './life-restart.ts';
import type { MachinePorts } from './ports.ts';
import type { MachineRecord } from './record.ts';
import { report } from './report.ts';
import { type MachineEvent, type MachineState, rowOf } from './states.ts';
import { failureOf } from './step-failure.ts';
import { steps } from './steps.ts';

export interface MachineListener {
  changed(machine: VirtualMachine): void;
  /** The compute service went away: what this VM does is unknown until HCS has been enumerated again. */
  lost(machine: VirtualMachine): void;
}

export class VirtualMachine {
  readonly uid: string;
  /** Resolves once it is known what is there. */
  readonly known: Promise<void>;

  readonly #context: MachineContext;
  readonly #listener: MachineListener;
  readonly #resolveKnown: () => void;
  /** Resolves when the VM is stopped of which that is waited for. */
  readonly #gone = Promise.withResolvers<void>();
  #state: MachineState = 'Unknown';

  constructor(record: MachineRecord, systemID: SystemId, ports: MachinePorts, listener: MachineListener) {
    this.uid = record.uid;
    this.#context = new MachineContext(record, systemID, ports, { changed: () => listener.changed(this) });
    this.#listener = {
      changed: this.#context.guarded((machine: VirtualMachine) => listener.changed(machine)),
      lost: (machine) => listener.lost(machine),
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.known = promise;
    this.#resolveKnown = resolve;
  }

  get state(): MachineState {
    return this.#state;
  }

  get assignment(): Assignment | undefined {
    return this.#context.record.assignment;
  }

  get lastExit(): LastExit | undefined {
    return this.#context.record.lastExit;
  }

  get released(): boolean {
    return this.#context.released;
  }

  /** For lines about this VM. */
  get logger(): Logger {
    return this.#context.ports.logger;
  }

  /** What users may do with it over streams. */
  get access(): GuestAccess {
    return new GuestAccess(this.#context);
  }

  /** Tells what a complete enumeration of HCS found under this VM's id. */
  found(properties: SystemProperties | undefined): void {
    this.#context.found = { properties };
    this.#context.wakeup.notify();
  }

  async assign(told: Assignment): Promise<void> {
    const context = this.#context;
    const before = context.record.assignment;
    const assignment = history.followed(context.record, told);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(assignment)) return;
    const isAnew = before !== undefined && history.isAnew(before, assignment);
    if (isAnew && this.#state !== 'Running') context.trouble = undefined;
    if (isAnew) context.heldUpUntil = 0;
    if (isAnew) context.change = { ...context.change, notBefore: 0, failures: 0, streak: undefined };
    if (before === undefined || history.wantsOtherwise(before, assignment)) context.internalErrors.forget();
    if (before === undefined) context.nameLogLines(assignment);
    context.record = history.assigned(context.record, assignment);
    this.#reconsider();
    // Not an acquiring effect: the operator says it again at the next connection.
    await context.tryWrite();
  }

  /** What is wanted of it, while its options cannot be told. */
  async intend(intent: Intent): Promise<void> {
    const { found, record } = this.#context;
    // A system that no journal knows is stopped only for one that is to be stopped: nobody could start it again.
    const isStranger = record.assignment === undefined && found?.properties !== undefined;
    if (isStranger && intent.runStrategy !== 'Halted') return;
    await this.assign(history.intended(record, intent));
  }

  /** Tear down and forget. There is no way back. */
  release(): void {
    this.#context.released = true;
    this.#context.internalErrors.forget();
    this.#reconsider();
  }

  /** The agent ends. Resolves when this VM has been stopped, if it is one that ends with its agent. */
  async endWithAgent(): Promise<void> {
    const { applied, assignment } = this.#context.record;
    const outlives = applied?.outlivesAgent ?? assignment?.options.TerminateOnAgentExit === false;
    if (outlives || this.#state === 'Unknown') return;
    this.#context.endsWithAgent = true;
    this.#reconsider();
    if (rowOf(this.#state).presence !== 'absent') await this.#gone.promise;
  }

  observe(): ObservedVirtualMachine {
    const { change, internalErrors, record, released, run, systemID, trouble } = this.#context;
    return report({
      record,
      state: this.#state,
      released,
      trouble,
      changeTrouble: change.trouble,
      guestConnected: run?.guestConnected ?? false,
      guestExpected: expectationsOf(record.applied?.options).bridge,
      rests: internalErrors.isTooMany,
      log: this.#context.log,
      systemID,
    });
  }

  /** What it has used and has of the host; undefined while it does not run. */
  async statistics(): Promise<SystemStatistics | undefined> {
    return this.#state === 'Running' ? await this.#context.system?.statistics() : undefined;
  }

  /** A call has exceeded its bound and has not come back. */
  get isAwaitingCall(): boolean {
    return this.#context.overdue !== undefined || this.#context.change.isOverdue;
  }

  /** Runs until the VM is forgotten or the signal aborts; the VM itself is left as it is then. */
  async live(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#context.wakeup.notify();
    signal.addEventListener('abort', onAbort);
    while (!signal.aborted && this.#state !== 'Forgotten') {
      try {
        const event = await this.#step(signal);
        if (event !== undefined) this.#transition(event);
      } catch (error) {
        await this.#beginAgain(error, signal);
      }
    }
    signal.removeEventListener('abort', onAbort);
    await this.#context.run?.abandon();
  }

  /** From Unknown, for this VM alone. */
  async #beginAgain(error: unknown, signal: AbortSignal): Promise<void> {
    const context = this.#context;
    this.#state = 'Unknown';
    try {
      await prepareRestart(context, error, signal);
    } catch (again) {
      if (again instanceof HcsError && again.isServiceDisconnect) this.#transition('lost');
      // Nothing was found: what the next step does is this again.
      else context.fault ??= { error: again };
      await delay(context.ports.clock, context.ports.timeouts.enumerateRetry, signal).catch(() => undefined);
    }
  }

  /** Rejects with an error of ours. */
  async #step(signal: AbortSignal): Promise<MachineEvent | undefined> {
    const { fault } = this.#context;
    this.#context.fault = undefined;
    if (fault !== undefined) throw fault.error;
    try {
      return await steps[this.#state](this.#context, signal);
    } catch (error) {
      if (isOwnFault(error)) throw error;
      if (error instanceof CallOverdue) return this.#wentOverdue(error, signal);
      if (error instanceof HcsError && error.isServiceDisconnect) return 'lost';
      return this.#failed(error);
    }
  }

  async #wentOverdue(error: CallOverdue, signal: AbortSignal): Promise<MachineEvent | undefined> {
    const context = this.#context;
    const failure =
      error.failure instanceof MachineFailure ? error.failure : new MachineFailure('CallOverdue', error.message, error);
    context.overdue = error.late;
    if (this.#state === 'Unknown') {
      context.setTrouble(failure);
      // What is there may be a VM that shall go on: it is not stopped for a slow answer.
      const event = await unlessAborted(context.lateResult(), signal);
      return event === 'lost' ? 'lost' : undefined;
    }
    if (rowOf(this.#state).presence !== 'booting') {
      context.setTrouble(failure);
    } else if (!context.interrupt.signal.aborted) {
      context.record = history.startFailed(context.record, failure, context.ports);
      context.setTrouble(failure);
    }
    return 'overdue';
  }

  async #failed(error: unknown): Promise<MachineEvent | undefined> {
    const context = this.#context;
    const { clock, logger, timeouts } = context.ports;
    const failure = failureOf(this.#state, error);
    const { reason, message } = failure;
    if (failure.waits) return this.#heldUp(failure);
    logger.warn({ state: this.#state, reason, error: message }, 'a step failed');
    if (rowOf(this.#state).presence === 'booting') {
      if (context.interrupt.signal.aborted) return 'failed';
      context.record = history.startFailed(context.record, failure, context.ports);
      context.setTrouble(failure);
      return 'failed';
    }
    context.setTrouble(failure);
    const isTeardown = this.#state === 'Stopping' || this.#state === 'Cleaning';
    await delay(clock, isTeardown ? timeouts.cleanUpRetry : timeouts.enumerateRetry);
    return isTeardown ? 'failed' : undefined;
  }

  /** Another VM of the host has what this one needs: no attempt was made, so none has failed. */
  #heldUp({ message, reason }: MachineFailure): MachineEvent {
    const context = this.#context;
    context.ports.logger.info({ reason, message }, 'the VM waits');
    context.record = history.heldUp(context.record);
    if (!context.interrupt.signal.aborted) context.setTrouble({ reason, message });
    return 'failed';
  }

  /** A boot that is no longer wanted is cut short where it waits for the guest; a call to HCS is never cut short. */
  #reconsider(): void {
    const { interrupt, wakeup } = this.#context;
    if (rowOf(this.#state).presence === 'booting' && this.#context.decide('booting').kind === 'stop') {
      interrupt.abort(new MachineFailure('Stopping', 'the boot is no longer wanted'));
    }
    const isLeaving = this.#state === 'Running' && this.#context.decide('running').kind === 'stop';
    if (isLeaving) this.#context.leaving.begin();
    wakeup.notify();
    this.#listener.changed(this);
  }

  #transition(event: MachineEvent): void {
    const next = rowOf(this.#state).events[event];
    if (next === undefined) throw new Error(`${this.#state} has no transition for ${event}`);
    this.#context.ports.logger.debug({ from: this.#state, event, to: next }, 'transition');
    this.#state = next;
    if (next !== 'Unknown') this.#resolveKnown();
    if (this.#context.endsWithAgent && rowOf(next).presence === 'absent') this.#gone.resolve();
    if (event === 'lost') {
      this.#context.forgetHandles();
      this.#listener.lost(this);
    }
    this.#listener.changed(this);
  }
}
