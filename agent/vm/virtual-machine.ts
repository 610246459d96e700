// One VM on this host: a state machine that runs on the table of `states.ts`; docs/design.md §8 has the diagram. The steps
// are in `steps.ts`; here is what drives them, and what others may ask and say.
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
  /** The compute service went away: what this VM does is unknown until HCS has been enumerated again. */
  lost(machine: VirtualMachine): void;
}

export class VirtualMachine {
  readonly uid: string;
  /** Resolves once it is known what is there. */
  readonly known: Promise<void>;

  readonly #core: VirtualMachineCore;
  readonly #listener: VirtualMachineListener;
  readonly #resolveKnown: () => void;
  /** Resolves when the VM is stopped of which that is waited for. */
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

  /** For lines about this VM. */
  get logger(): Logger {
    return this.#core.ports.logger;
  }

  get #record(): MachineRecord {
    return this.#core.store.record;
  }

  /** What users may do with it over streams. */
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

  /** Tells what a complete enumeration of HCS found under this VM's id. */
  found(properties: SystemProperties | undefined): void {
    if (this.#situation.state === 'Unknown') this.#situation = { ...this.#situation, found: { properties } };
    this.#core.wakeup.notify();
  }

  async assign(told: Assignment): Promise<void> {
    const { claim, internalErrors, store } = this.#core;
    const before = store.record.assignment;
    const assignment = history.followed(store.record, told);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(assignment)) return;
    if (before !== undefined && history.isAnew(before, assignment)) {
      if (this.state !== 'Running') store.clearTrouble();
      claim.heldUpUntil = 0;
      handlesOf(this.#situation).changes?.beginAnew();
    }
    if (before === undefined || history.wantsOtherwise(before, assignment)) internalErrors.forget();
    if (before === undefined) this.#core.nameLogLines(assignment);
    store.change(history.assigned, assignment);
    this.#reconsider();
    // Not an acquiring effect: the operator says it again at the next connection.
    await store.tryWrite();
  }

  /** What is wanted of it, while its options cannot be told. */
  async intend(intent: Intent): Promise<void> {
    const situation = this.#situation;
    const isThere = situation.state === 'Unknown' && situation.found?.properties !== undefined;
    // A system that no journal knows is stopped only for one that is to be stopped: nobody could start it again.
    const isStranger = this.assignment === undefined && isThere;
    if (isStranger && intent.runStrategy !== 'Halted') return;
    await this.assign(history.intended(this.#record, intent));
  }

  /** Tear down and forget. There is no way back. */
  release(): void {
    this.#core.end.released = true;
    this.#core.internalErrors.forget();
    this.#reconsider();
  }

  /** The agent ends. Resolves when this VM has been stopped, if it is one that ends with its agent. */
  async endWithAgent(): Promise<void> {
    const { applied, assignment } = this.#record;
    const outlives = applied?.outlivesAgent ?? assignment?.options.TerminateOnAgentExit === false;
    // One whose life begins again has its handle still: it ends with the agent, too.
    const isHeld = this.state === 'Unknown' && handlesOf(this.#situation).system !== undefined;
    if (outlives || (this.state === 'Unknown' && !isHeld)) return;
    this.#core.end.withAgent = true;
    this.#core.internalErrors.forget();
    this.#reconsider();
    if (!isHeld && rowOf(this.state).presence === 'absent') return;
    await this.#gone.promise;
    // How it ended is for the next agent to tell.
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

  /** What it has used and has of the host; undefined while it does not run. */
  async statistics(): Promise<SystemStatistics | undefined> {
    const situation = this.#situation;
    return situation.state === 'Running' ? await situation.system.statistics() : undefined;
  }

  /** A call has exceeded its bound and has not come back. */
  get isAwaitingCall(): boolean {
    const situation = this.#situation;
    if (situation.state === 'Draining') return true;
    if (situation.state === 'Unknown' && (situation.overdue ?? situation.slow) !== undefined) return true;
    return handlesOf(situation).changes?.latest.isOverdue === true;
  }

  /** Runs until the VM is forgotten or the signal aborts; the VM itself is left as it is then. */
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
  }

  /** From Unknown, for this VM alone. */
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
      // Nothing was found: what the next step does is this again.
      else core.faults.note(again);
      await delay(core.ports.clock, core.ports.timeouts.enumerateRetry, signal).catch(() => undefined);
    }
  }

  /** Rejects with an error of ours. */
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

  /** What is there may be a VM that shall go on: it is not stopped for a slow answer. */
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

  /** A boot that is no longer wanted is cut short where it waits for the guest; a call to HCS is never cut short. */
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

  /** What it waited for is reserved for it. */
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

  /** The compute service went away, and every handle with it. */
  #abandon(situation: Situation): void {
    const closing = handlesOf(situation).run?.abandon();
    closing?.catch((error: unknown) => {
      this.logger.warn({ error: messageOf(error) }, 'the sockets of the guest did not close');
    });
  }
}
