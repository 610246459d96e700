// One VM on this host: a state machine that runs on the table of `states.ts`. docs/design.md §8 has the diagram. This
// class drives the steps (`steps.ts`) and is the VM's interface to the rest of the agent.
import type { Logger } from 'pino';
import type { Intent } from '../../protocol/intent.ts';
import type { Assignment, LastExit, ObservedVirtualMachine } from '../../protocol/messages.ts';
import { delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue, unlessAborted } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import type { SystemId, SystemProperties, SystemStatistics } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import { expectationsOf } from '../run/expectations.ts';
import { VirtualMachineCore } from './core.ts';
import { lateResult } from './ending/late-call.ts';
import { afterError, overdueFailure } from './failed-step.ts';
import { GuestAccess } from './guest-access.ts';
import * as history from './history.ts';
import { isOwnFault } from './internal-errors.ts';
import { prepareRestart } from './life-restart.ts';
import type { VirtualMachinePorts } from './ports.ts';
import type { MachineRecord } from './record.ts';
import { report } from './report.ts';
import { handlesOf, initialSituation, isBooting, lost, type Outcome, type Situation } from './situation.ts';
import { type MachineState, rowOf } from './states.ts';
import { step } from './steps.ts';

export interface VirtualMachineListener {
  changed(machine: VirtualMachine): void;
  /** The compute service went away: the state of this VM is unknown until HCS has been enumerated again. */
  lost(machine: VirtualMachine): void;
}

export class VirtualMachine {
  readonly uid: string;
  /** Resolves once the VM has left Unknown for the first time. */
  readonly known: Promise<void>;

  readonly #core: VirtualMachineCore;
  readonly #listener: VirtualMachineListener;
  readonly #resolveKnown: () => void;
  /** Resolves when the VM has stopped at the end of the agent. */
  readonly #gone = Promise.withResolvers<void>();
  #situation: Situation = initialSituation();

  constructor(record: MachineRecord, systemID: SystemId, ports: VirtualMachinePorts, listener: VirtualMachineListener) {
    this.uid = record.uid;
    this.#listener = listener;
    this.#core = new VirtualMachineCore(record, systemID, ports, {
      changed: () => listener.changed(this),
      reserved: () => this.#reserved(),
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.known = promise;
    this.#resolveKnown = resolve;
  }

  get state(): MachineState {
    return this.#situation.state;
  }

  get assignment(): Assignment | undefined {
    return this.#record.assignment;
  }

  get lastExit(): LastExit | undefined {
    return this.#record.lastExit;
  }

  get released(): boolean {
    return this.#core.end.released;
  }

  /** The logger for lines about this VM. */
  get logger(): Logger {
    return this.#core.ports.logger;
  }

  get #record(): MachineRecord {
    return this.#core.store.record;
  }

  /** The actions that users can take over streams. */
  get access(): GuestAccess {
    const core = this.#core;
    const handles = () => handlesOf(this.#situation);
    return new GuestAccess({
      uid: this.uid,
      log: core.log.excerpt,
      logFiles: core.log.files,
      sentDocuments: core.ports.sentDocuments,
      get record() {
        return core.store.record;
      },
      get system() {
        return handles().system;
      },
      get run() {
        return handles().run;
      },
      get consoleSignal() {
        return core.claim.consoleSignal;
      },
    });
  }

  /** Passes the system that a complete enumeration of HCS found with this VM's id; undefined when there is none. */
  found(properties: SystemProperties | undefined): void {
    if (this.#situation.state === 'Unknown') this.#situation = { ...this.#situation, found: { properties } };
    this.#core.wakeup.notify();
  }

  async assign(told: Assignment): Promise<void> {
    const { claim, internalErrors, ports, store } = this.#core;
    const before = store.record.assignment;
    const assignment = history.followed(store.record, told);
    const wasConfirmed = history.isConfirmed(store.record, ports.hostStartedAt);
    store.change(history.confirmed, ports.hostStartedAt);
    if (wasConfirmed && before !== undefined && JSON.stringify(before) === JSON.stringify(assignment)) return;
    if (before !== undefined && history.isAnew(before, assignment)) {
      if (this.state !== 'Running') store.clearTrouble();
      claim.heldUpUntil = 0;
      handlesOf(this.#situation).changes?.beginAnew();
    }
    if (before === undefined || history.wantsOtherwise(before, assignment)) internalErrors.forget();
    if (before === undefined) this.#core.nameLogLines(assignment);
    store.change(history.assigned, assignment);
    this.#reconsider();
    // If this write fails, nothing is lost: the operator sends the assignment again in the next session.
    await store.tryWrite();
  }

  /** Applies what is wanted of the VM while the operator cannot send its options. */
  async intend(intent: Intent): Promise<void> {
    const situation = this.#situation;
    const isThere = situation.state === 'Unknown' && situation.found?.properties !== undefined;
    // Without its options, nobody could start the VM again. So an intent stops a stranger only if it says Halted.
    const isStranger = this.assignment === undefined && isThere;
    if (isStranger && intent.runStrategy !== 'Halted') return;
    await this.assign(history.intended(this.#record, intent));
  }

  /** Tears the VM down and forgets it. This cannot be undone. */
  release(): void {
    this.#core.end.released = true;
    this.#core.internalErrors.forget();
    this.#reconsider();
  }

  /** The agent ends. Resolves at once for a VM that outlives its agent, else when the VM has stopped. */
  async endWithAgent(): Promise<void> {
    const { applied, assignment } = this.#record;
    const outlives = applied?.outlivesAgent ?? assignment?.options.TerminateOnAgentExit === false;
    // A VM that begins again after an internal error still has its handle. It ends with the agent, too.
    const isHeld = this.state === 'Unknown' && handlesOf(this.#situation).system !== undefined;
    if (outlives || (this.state === 'Unknown' && !isHeld)) return;
    this.#core.end.withAgent = true;
    this.#core.internalErrors.forget();
    this.#reconsider();
    if (!isHeld && rowOf(this.state).presence === 'absent') return;
    await this.#gone.promise;
    // The record keeps the exit, so that the next agent can report it.
    await this.#core.store.tryWrite();
  }

  observe(): ObservedVirtualMachine {
    const { end, internalErrors, log, systemID } = this.#core;
    const record = this.#record;
    const { changes, run } = handlesOf(this.#situation);
    return report({
      record,
      state: this.state,
      released: end.released,
      changeTrouble: changes?.latest.trouble,
      guestConnected: run?.guestConnected ?? false,
      guestExpected: expectationsOf(record.applied?.options).bridge,
      rests: internalErrors.isTooMany,
      log: log.excerpt,
      systemID,
    });
  }

  /** The statistics of the VM's use of the host; undefined while it does not run. */
  async statistics(): Promise<SystemStatistics | undefined> {
    const situation = this.#situation;
    return situation.state === 'Running' ? await situation.system.statistics() : undefined;
  }

  /** Whether a call has exceeded its bound and has not returned yet. */
  get isAwaitingCall(): boolean {
    const situation = this.#situation;
    if (situation.state === 'Draining') return true;
    if (situation.state === 'Unknown' && (situation.overdue ?? situation.slow) !== undefined) return true;
    return handlesOf(situation).changes?.latest.isOverdue === true;
  }

  /** Runs until the VM is forgotten or the signal aborts. In both cases it leaves the VM as it is. */
  async live(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#core.wakeup.notify();
    signal.addEventListener('abort', onAbort);
    while (!signal.aborted && this.state !== 'Forgotten') {
      try {
        const outcome = await this.#step(signal);
        if (outcome !== undefined) this.#transition(outcome);
      } catch (error) {
        await this.#beginAgain(error, signal);
      }
    }
    signal.removeEventListener('abort', onAbort);
    await handlesOf(this.#situation).run?.abandon();
    await this.#core.store.settled();
  }

  /** Begins again from Unknown after an internal error, for this VM only. */
  async #beginAgain(error: unknown, signal: AbortSignal): Promise<void> {
    const core = this.#core;
    const before = this.#situation;
    const unknown = { ...initialSituation(), handles: handlesOf(before) };
    this.#situation = 'overdue' in before ? { ...unknown, overdue: before.overdue } : unknown;
    try {
      const found = await prepareRestart(core, error, signal);
      if (found !== undefined) this.found(found.properties);
    } catch (again) {
      if (again instanceof HcsError && again.isServiceDisconnect) this.#transition(lost());
      // The restart failed, too: the next step throws this error, and so tries it again.
      else core.faults.note(again);
      await delay(core.ports.clock, core.ports.timeouts.enumerateRetry, signal).catch(() => undefined);
    }
  }

  /** Rejects only with an internal error. */
  async #step(signal: AbortSignal): Promise<Outcome | undefined> {
    this.#core.faults.throwNoted();
    const situation = this.#situation;
    try {
      return await step(this.#core, situation, signal);
    } catch (error) {
      if (isOwnFault(error)) throw error;
      if (error instanceof CallOverdue && situation.state === 'Unknown') return await this.#awaitAnswer(error, signal);
      return await afterError(this.#core, this.#situation, error);
    }
  }

  /** A slow answer is no reason to stop the system: it may be a VM that is adopted. */
  async #awaitAnswer(error: CallOverdue, signal: AbortSignal): Promise<Outcome | undefined> {
    const unknown = this.#situation;
    if (unknown.state !== 'Unknown') return undefined;
    this.#core.store.setTrouble(overdueFailure(error));
    this.#situation = { ...unknown, slow: error.late };
    const { handles } = unknown;
    const end = await unlessAborted(lateResult(this.#core, error.late, { handles, givenUp: signal }), signal);
    if (end !== undefined) this.#situation = unknown;
    return end === 'lost' ? lost() : undefined;
  }

  /** Interrupts a boot that is no longer wanted while it waits for the guest. A call to HCS is never interrupted. */
  #reconsider(): void {
    const core = this.#core;
    const situation = this.#situation;
    if (isBooting(situation) && core.decide('booting').kind === 'stop') {
      situation.interrupt.abort(new MachineFailure('Stopping', 'the boot is no longer wanted'));
    }
    const isLeaving = situation.state === 'Running' && core.decide('running').kind === 'stop';
    if (isLeaving) situation.changes.leaving.begin();
    core.wakeup.notify();
    core.listener.changed();
  }

  /** The resource that the VM waited for is reserved for it now. */
  #reserved(): void {
    this.#core.claim.heldUpUntil = 0;
    handlesOf(this.#situation).changes?.tryAtOnce();
    this.#core.wakeup.notify();
  }

  #transition({ event, next }: Outcome): void {
    const core = this.#core;
    const before = this.#situation;
    if (rowOf(before.state).events[event] !== next.state) {
      throw new Error(`${before.state} does not lead to ${next.state} by ${event}`);
    }
    core.ports.logger.debug({ from: before.state, event, to: next.state }, 'transition');
    this.#situation = next;
    if (next.state !== 'Unknown') this.#resolveKnown();
    if (core.end.withAgent && rowOf(next.state).presence === 'absent') this.#gone.resolve();
    if (event === 'lost') {
      this.#abandon(before);
      this.#listener.lost(this);
    }
    core.listener.changed();
  }

  /** The compute service went away, and all handles are invalid. */
  #abandon(situation: Situation): void {
    const closing = handlesOf(situation).run?.abandon();
    closing?.catch((error: unknown) => {
      this.logger.warn({ error: messageOf(error) }, 'the sockets of the guest did not close');
    });
  }
}
