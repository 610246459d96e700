// One VM on this host. `machine-states.ts` has the diagram and the table of transitions that this runs on; here is what is
// done in each state. Every step can be cut off at any point: the journal is written before an effect is acquired, and
// what may have been acquired is undone before anything is begun anew (design §8).

import { delay } from '../protocol/clock.ts';
import type { Assignment, ObservedVirtualMachine } from '../protocol/messages.ts';
import type { ReasonCode } from '../protocol/reasons.ts';
import { bounded } from './bounded.ts';
import { CallOverdue, MachineFailure, messageOf } from './failure.ts';
import { GuestLog } from './guest-log.ts';
import { GuestRun } from './guest-run.ts';
import type { ComputeSystem, SystemEnd, SystemId, SystemProperties } from './hcs/backend.ts';
import { HcsError } from './hcs/errors.ts';
import * as history from './machine-history.ts';
import type { MachinePorts } from './machine-ports.ts';
import type { MachineRecord } from './machine-record.ts';
import { type MachineEvent, type MachineState, transitions } from './machine-states.ts';
import type { BootPlan } from './plan.ts';
import { presenceOf, report, type Trouble } from './report.ts';
import { decide, type StopReason } from './run-decision.ts';
import { stage } from './staging.ts';
import { failureOf } from './step-failure.ts';
import { isStopped, terminateSystem } from './teardown.ts';
import { Wakeup } from './wakeup.ts';

export interface MachineListener {
  changed(machine: VirtualMachine): void;
  logged(machine: VirtualMachine, line: string): void;
  /** The compute service went away: what this VM does is unknown until HCS has been enumerated again. */
  lost(machine: VirtualMachine): void;
}

export class VirtualMachine {
  readonly uid: string;
  readonly systemID: SystemId;
  readonly log: GuestLog;
  /** Resolves once it is known what is there. */
  readonly known: Promise<void>;

  readonly #ports: MachinePorts;
  readonly #listener: MachineListener;
  readonly #wakeup = new Wakeup();
  #record: MachineRecord;
  #state: MachineState = 'Unknown';
  #released = false;
  #trouble: Trouble | undefined;
  /** Resolves `Unknown`: what the enumeration found under this VM's id. */
  #found: { readonly properties: SystemProperties | undefined } | undefined;
  #plan: BootPlan | undefined;
  #system: ComputeSystem | undefined;
  #run: GuestRun | undefined;
  #interrupt = new AbortController();
  #overdue: Promise<unknown> | undefined;
  #stopReason: StopReason | undefined;
  readonly #resolveKnown: () => void;

  constructor(record: MachineRecord, systemID: SystemId, ports: MachinePorts, listener: MachineListener) {
    this.uid = record.uid;
    this.systemID = systemID;
    const { trouble, ...rest } = record;
    this.#record = rest;
    this.#trouble = trouble;
    this.#ports = ports;
    this.#listener = listener;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.known = promise;
    this.#resolveKnown = resolve;
    this.log = new GuestLog(record.uid, record.boot, record.guestLog);
  }

  get state(): MachineState {
    return this.#state;
  }

  get assignment(): Assignment | undefined {
    return this.#record.assignment;
  }

  get released(): boolean {
    return this.#released;
  }

  /** Tells what a complete enumeration of HCS found under this VM's id. */
  found(properties: SystemProperties | undefined): void {
    this.#found = { properties };
    this.#wakeup.notify();
  }

  async assign(assignment: Assignment): Promise<void> {
    this.#record = history.assigned(this.#record, assignment);
    if (assignment.optionsDigest !== this.#plan?.applied.optionsDigest && this.#state !== 'Running')
      this.#trouble = undefined;
    this.#reconsider();
    // Not an acquiring effect: the operator says it again at the next connection.
    await this.#tryWrite();
  }

  /** Tear down and forget. There is no way back. */
  release(): void {
    this.#released = true;
    this.#reconsider();
  }

  observe(): ObservedVirtualMachine {
    return report({
      record: this.#record,
      state: this.#state,
      released: this.#released,
      trouble: this.#trouble,
      guestConnected: this.#run?.guestConnected ?? false,
      guestExpected: this.#record.applied?.options.UseGuestConnection ?? true,
      log: this.log,
      systemID: this.systemID,
    });
  }

  /** Runs until the VM is forgotten or the signal aborts; the VM itself is left as it is then. */
  async live(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#wakeup.notify();
    signal.addEventListener('abort', onAbort);
    while (!signal.aborted && this.#state !== 'Forgotten') {
      const event = await this.#step(signal);
      if (event !== undefined) this.#transition(event);
    }
    signal.removeEventListener('abort', onAbort);
    await this.#run?.abandon();
  }

  async #step(signal: AbortSignal): Promise<MachineEvent | undefined> {
    try {
      return await this.#act(signal);
    } catch (error) {
      if (error instanceof CallOverdue) return this.#wentOverdue(error);
      if (error instanceof HcsError && error.isServiceDisconnect) return 'lost';
      return this.#failed(error);
    }
  }

  async #wentOverdue(error: CallOverdue): Promise<MachineEvent | undefined> {
    this.#overdue = error.late;
    this.#setTrouble({ reason: 'CallOverdue', message: error.message });
    if (this.#state !== 'Unknown') return 'overdue';
    // What is there may be a VM that shall go on: it is not stopped for a slow answer.
    await this.#lateResult();
    return undefined;
  }

  #act(signal: AbortSignal): Promise<MachineEvent | undefined> {
    switch (this.#state) {
      case 'Unknown':
        return this.#recover(signal);
      case 'Idle':
        return this.#idle(signal);
      case 'Preparing':
        return this.#prepare();
      case 'Creating':
        return this.#create();
      case 'Starting':
        return this.#start();
      case 'Running':
        return this.#watch(signal);
      case 'Stopping':
        return this.#stop();
      case 'Draining':
        return this.#drain();
      case 'Cleaning':
        return this.#clean();
      case 'Forgotten':
        return Promise.resolve(undefined);
    }
  }

  // --- states ---------------------------------------------------------------------------------------------------------

  async #recover(signal: AbortSignal): Promise<MachineEvent | undefined> {
    const found = this.#found;
    // A system that no journal knows is reported and left alone until the operator assigns or releases it.
    const isStranger = found?.properties !== undefined && this.#record.assignment === undefined && !this.#released;
    if (found === undefined || isStranger) return this.#sleep(undefined, signal);
    const { properties } = found;
    const system = properties === undefined ? undefined : await this.#openFound();
    if (system !== undefined && properties !== undefined && history.mayAdopt(this.#record, properties)) {
      return this.#adopt(properties);
    }
    this.#record = history.endedWhileAway(this.#record, this.#now());
    this.#found = undefined;
    this.#clearTrouble('HostQueryFailed', 'CallOverdue');
    return system === undefined ? 'foundNothing' : 'leftover';
  }

  /** Undefined when it has gone since it was enumerated, as one whose last handle ran down with a dying agent. */
  async #openFound(): Promise<ComputeSystem | undefined> {
    try {
      this.#system ??= await this.#bounded('query', 'HcsOpenComputeSystem', () =>
        this.#ports.backend.open(this.systemID),
      );
      return this.#system;
    } catch (error) {
      if (error instanceof HcsError && error.isNotFound) return undefined;
      throw error;
    }
  }

  async #adopt(properties: SystemProperties): Promise<MachineEvent> {
    this.#run = await GuestRun.open(this.#ports.sockets, history.runtimeIdOf(properties), this.#runPorts());
    this.#run.resume();
    this.#found = undefined;
    this.#clearTrouble('HostQueryFailed', 'CallOverdue');
    this.#ports.logger.info({ uid: this.uid, runtimeID: this.#record.runtimeID }, 'adopted the running VM');
    return 'adopted';
  }

  async #idle(signal: AbortSignal): Promise<MachineEvent | undefined> {
    const decision = decide(this.#record, 'absent', this.#released);
    if (this.#released) {
      await this.#ports.journal.remove(this.uid);
      return 'forget';
    }
    if (decision.kind === 'settled' && decision.reason === 'Halted')
      this.#record = history.withoutFailures(this.#record);
    if (decision.kind !== 'start') return this.#sleep(undefined, signal);
    const wait = decision.notBefore - this.#ports.clock.now();
    return wait > 0 ? this.#sleep(wait, signal) : 'start';
  }

  async #prepare(): Promise<MachineEvent> {
    const { assignment } = this.#record;
    if (assignment === undefined) throw new MachineFailure('HostQueryFailed', 'nothing was assigned');
    this.#interrupt = new AbortController();
    this.#record = history.attemptBegun(this.#record, assignment, this.#ports.agentBootID);
    const plan = await this.#ports.prepare(assignment);
    this.#plan = plan;
    this.#record = history.planned(this.#record, plan, this.#now());
    await this.#write();
    await stage(plan.staging, this.#ports);
    return this.#interrupted() ?? 'prepared';
  }

  async #create(): Promise<MachineEvent> {
    const plan = this.#currentPlan();
    const { backend, sockets } = this.#ports;
    this.#record = { ...this.#record, stage: 'creating' };
    await this.#write();
    this.#system = await this.#bounded('create', 'HcsCreateComputeSystem', () =>
      backend.create(this.systemID, plan.document),
    );
    const properties = await this.#bounded('query', 'HcsGetComputeSystemProperties', () =>
      this.#currentSystem().properties(),
    );
    this.#record = history.created(this.#record, properties, this.#now());
    this.#run = await GuestRun.open(sockets, history.runtimeIdOf(properties), this.#runPorts());
    return this.#interrupted() ?? 'created';
  }

  async #start(): Promise<MachineEvent> {
    const plan = this.#currentPlan();
    this.log.beginBoot(this.#record.boot);
    this.#record = { ...this.#record, stage: 'starting' };
    await this.#write();
    const guest = await this.#currentRun().boot(this.#currentSystem(), plan, this.#interrupt.signal);
    this.#record = history.up(this.#record, guest, this.log.summary(), this.#now());
    this.#trouble = undefined;
    // Durable before it is reported: a `Once` VM that was Running never runs again.
    await this.#write();
    return 'up';
  }

  async #watch(signal: AbortSignal): Promise<MachineEvent | undefined> {
    const decision = decide(this.#record, 'running', this.#released);
    if (decision.kind === 'stop') {
      this.#stopReason = decision.reason;
      this.#record = history.stopDecided(this.#record, decision.reason);
      return 'stop';
    }
    const system = this.#currentSystem();
    const happened = await Promise.race([system.ended, this.#sleep(this.#ports.timeouts.liveness, signal)]);
    if (happened !== undefined) return this.#exitObserved(happened);
    if (signal.aborted) return undefined;
    if (!(await this.#hasStopped(system))) return undefined;
    return this.#exitObserved({ kind: 'exited', exit: { exitType: 'Unknown', status: 0 } });
  }

  /** A slow answer is no sign of a stop; the next question is asked once it has come. */
  async #hasStopped(system: ComputeSystem): Promise<boolean> {
    try {
      return await isStopped(system, this.#ports.clock, this.#ports.timeouts);
    } catch (error) {
      if (!(error instanceof CallOverdue)) throw error;
      this.#ports.logger.warn({ uid: this.uid, error: error.message }, 'the state of the VM cannot be read');
      await Promise.race([system.ended, error.late.catch(() => undefined)]);
      return false;
    }
  }

  #exitObserved(end: SystemEnd): MachineEvent {
    if (end.kind === 'serviceDisconnected') return 'lost';
    const exit = end.kind === 'exited' ? end.exit : { exitType: 'Unknown' as const, status: 0 };
    this.#record = history.exited(this.#record, exit, this.#ports);
    return 'exited';
  }

  async #stop(): Promise<MachineEvent> {
    const { clock, timeouts } = this.#ports;
    const wasRunning = this.#record.stage === 'running';
    this.#record = { ...this.#record, stage: 'stopping' };
    await this.#tryWrite();
    if (this.#system !== undefined) {
      const end = await terminateSystem(this.#system, clock, timeouts);
      if (end.kind === 'lost') return 'lost';
      if (wasRunning) this.#record = history.stopped(this.#record, end.exit, this.#stopReason, this.#now());
      await this.#run?.close();
      this.#run = undefined;
      const system = this.#system;
      await this.#bounded('closeHandle', 'HcsCloseComputeSystem', () => system.close());
      this.#system = undefined;
    }
    return 'stopped';
  }

  /** The id is not used again before the call has come back; what a late success made is then stopped. */
  async #drain(): Promise<MachineEvent> {
    await this.#lateResult();
    return 'returned';
  }

  async #lateResult(): Promise<void> {
    const result = await this.#overdue?.catch((error: unknown) => {
      this.#ports.logger.warn({ uid: this.uid, error: messageOf(error) }, 'an overdue call failed at last');
      return undefined;
    });
    this.#overdue = undefined;
    if (this.#system === undefined && isComputeSystem(result)) this.#system = result;
  }

  async #clean(): Promise<MachineEvent> {
    for (const { path } of this.#record.acquired) {
      await this.#bounded('copy', 'DeleteFileW', () => this.#ports.host.deleteFile(path));
    }
    this.#plan = undefined;
    this.#record = { ...history.withLog(this.#record, this.log.summary()), stage: 'none', acquired: [] };
    delete this.#record.runtimeID;
    this.#clearTrouble('CleanUpFailed', 'StopFailed');
    await this.#tryWrite();
    return 'cleaned';
  }

  // --- what goes wrong ------------------------------------------------------------------------------------------------

  async #failed(error: unknown): Promise<MachineEvent | undefined> {
    const failure = failureOf(this.#state, error);
    this.#setTrouble({ reason: failure.reason, message: failure.message });
    this.#ports.logger.warn(
      { uid: this.uid, state: this.#state, reason: failure.reason, error: failure.message },
      'a step failed',
    );
    switch (this.#state) {
      case 'Preparing':
      case 'Creating':
      case 'Starting':
        if (!this.#interrupt.signal.aborted) this.#record = history.startFailed(this.#record, failure, this.#ports);
        else this.#trouble = undefined;
        return 'failed';
      case 'Stopping':
      case 'Cleaning':
        await delay(this.#ports.clock, this.#ports.timeouts.cleanUpRetry);
        return 'failed';
      default:
        await delay(this.#ports.clock, this.#ports.timeouts.enumerateRetry);
        return undefined;
    }
  }

  #setTrouble(trouble: Trouble): void {
    this.#trouble = trouble;
    this.#listener.changed(this);
  }

  /** It is over, whatever it was about. */
  #clearTrouble(...reasons: readonly ReasonCode[]): void {
    if (this.#trouble !== undefined && reasons.includes(this.#trouble.reason)) this.#trouble = undefined;
  }

  /** A boot that is no longer wanted is cut short where it waits for the guest; a call to HCS is never cut short. */
  #reconsider(): void {
    if (presenceOf[this.#state] === 'booting' && decide(this.#record, 'booting', this.#released).kind === 'stop') {
      this.#interrupt.abort(new MachineFailure('Stopping', 'the boot is no longer wanted'));
    }
    this.#wakeup.notify();
    this.#listener.changed(this);
  }

  #interrupted(): MachineEvent | undefined {
    return this.#interrupt.signal.aborted ? 'failed' : undefined;
  }

  #transition(event: MachineEvent): void {
    const next = transitions[this.#state][event];
    if (next === undefined) throw new Error(`${this.#state} has no transition for ${event}`);
    this.#ports.logger.debug({ uid: this.uid, from: this.#state, event, to: next }, 'transition');
    this.#state = next;
    if (next !== 'Unknown') this.#resolveKnown();
    if (event === 'lost') this.#forgetHandles();
    this.#listener.changed(this);
  }

  #forgetHandles(): void {
    const run = this.#run;
    this.#system = undefined;
    this.#run = undefined;
    this.#overdue = undefined;
    run
      ?.close()
      .catch((error: unknown) => this.#ports.logger.warn({ uid: this.uid, error: messageOf(error) }, 'close failed'));
    this.#listener.lost(this);
  }

  // --- small parts ----------------------------------------------------------------------------------------------------

  #runPorts() {
    return {
      ...this.#ports,
      uid: this.uid,
      onLine: (line: string) => {
        this.log.append(line);
        this.#listener.logged(this, line);
      },
      onPhase: (phase: keyof MachineRecord['bootTimings']) => {
        this.#record = history.timed(this.#record, phase, this.#now());
        this.#listener.changed(this);
      },
      onConnection: () => this.#listener.changed(this),
    };
  }

  #sleep(milliseconds: number | undefined, signal: AbortSignal): Promise<undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const timer =
      milliseconds === undefined ? undefined : this.#ports.clock.after(milliseconds, () => this.#wakeup.notify());
    return this.#wakeup.wait().then(() => {
      timer?.cancel();
      return undefined;
    });
  }

  #bounded<T>(bound: 'create' | 'query' | 'copy' | 'closeHandle', call: string, run: () => Promise<T>): Promise<T> {
    return bounded(this.#ports.clock, this.#ports.timeouts[bound], call, run);
  }

  async #write(): Promise<void> {
    try {
      await this.#ports.journal.write({ ...this.#record, ...(this.#trouble && { trouble: this.#trouble }) });
    } catch (error) {
      throw new MachineFailure('JournalUnwritable', `cannot write the journal: ${messageOf(error)}`, error);
    }
  }

  /** For what must not be held up by a full disk: releasing. */
  async #tryWrite(): Promise<void> {
    await this.#write().catch((error: MachineFailure) => {
      this.#ports.logger.error({ uid: this.uid, error: error.message }, 'journal not written');
    });
  }

  #now(): string {
    return new Date(this.#ports.clock.now()).toISOString();
  }

  #currentPlan(): BootPlan {
    if (this.#plan === undefined) throw new MachineFailure('HostQueryFailed', 'the VM was not prepared');
    return this.#plan;
  }

  #currentSystem(): ComputeSystem {
    if (this.#system === undefined) throw new MachineFailure('NotCreated', 'the compute system does not exist');
    return this.#system;
  }

  #currentRun(): GuestRun {
    if (this.#run === undefined) throw new MachineFailure('NotCreated', 'the listeners of the guest are not open');
    return this.#run;
  }
}

function isComputeSystem(value: unknown): value is ComputeSystem {
  return typeof value === 'object' && value !== null && 'terminate' in value && 'ended' in value;
}
