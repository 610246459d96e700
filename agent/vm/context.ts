// What the steps of one VM's life work on: its record, the handles that are open just now, and the ways to wait and write.
// Only `virtual-machine.ts` and `steps.ts` use it.
import type { Assignment, BootTimings } from '../../protocol/messages.ts';
import type { ReasonCode } from '../../protocol/reasons.ts';
import type { Streak } from '../../protocol/streak.ts';
import type { LogPosition } from '../../protocol/streams/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { bounded } from '../bounds/bounded.ts';
import type { Timeouts } from '../bounds/timeouts.ts';
import { Wakeup } from '../bounds/wakeup.ts';
import { MachineFailure } from '../failure.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import { MachineLog } from '../guest-log/destinations.ts';
import { GuestLog } from '../guest-log/log.ts';
import type { LogFiles } from '../guest-log/reader.ts';
import type { GuestLogSink } from '../guest-log/sink.ts';
import type { ComputeSystem, SystemId, SystemProperties, UnfinishedSystem } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import type { BootPlan } from '../preparation/plan.ts';
import { expectationsOf } from '../run/expectations.ts';
import type { GuestRun, GuestRunPorts } from '../run/guest-run.ts';
import type { Trouble } from './conditions.ts';
import { type Decision, decide } from './decision.ts';
import { Leaving } from './ending/leaving.ts';
import * as history from './history.ts';
import { InternalErrors } from './internal-errors.ts';
import type { MachinePorts } from './ports.ts';
import type { MachineRecord } from './record.ts';
import type { Holder } from './reservations.ts';
import type { Presence } from './states.ts';
import { stdioPorts } from './stdio-ports.ts';

/** How far the changes of the running VM are. */
export interface LiveChange {
  /** Why the last attempt did not make all of them. */
  readonly trouble?: Trouble;
  /** Not tried again before this time (ms since the epoch). */
  readonly notBefore: number;
  /** A change has exceeded its bound and is still under way: none is begun before it has come back. */
  readonly isOverdue: boolean;
  /** Attempts that failed in a row. */
  readonly failures: number;
  /** Those of them that were answered. */
  readonly streak?: Streak | undefined;
}
export const noChange: LiveChange = { notBefore: 0, isOverdue: false, failures: 0 };

/** Who is told what happens to the VM. */
export interface ContextListener {
  changed(): void;
}

type Bound = Extract<keyof Timeouts, 'create' | 'query' | 'copy' | 'closeHandle' | 'modify'>;

export class MachineContext {
  readonly uid: string;
  readonly systemID: SystemId;
  /** Its log lines carry the VM. */
  readonly ports: MachinePorts;
  readonly log: GuestLog;
  readonly guestLog: MachineLog;
  readonly wakeup = new Wakeup();

  record: MachineRecord;
  released = false;
  trouble: Trouble | undefined;
  /** What a complete enumeration of HCS found under this VM's id; undefined before one. */
  found: { readonly properties: SystemProperties | undefined } | undefined;
  plan: BootPlan | undefined;
  system: ComputeSystem | undefined;
  /** What HCS gave while it had not confirmed the creation of the system yet. */
  unfinished: UnfinishedSystem | undefined;
  /** HCS refused to create the system because it knows its id: what has it may be a leftover of ours. */
  idIsTaken = false;
  run: GuestRun | undefined;
  /** Cuts the boot short that is under way. */
  interrupt = new AbortController();
  /** A call that exceeded its bound and is still running. */
  overdue: Promise<unknown> | undefined;
  /** What became of the disks when the guest of this run was left; undefined before. */
  guestLeft: { readonly text: string | undefined } | undefined;
  /** The agent ends, and this VM with it. */
  endsWithAgent = false;
  change: LiveChange = noChange;
  /** Mount paths of this run at which a mount did not succeed. */
  readonly mountsFailed = new Set<string>();
  readonly leaving = new Leaving();
  /** Changes that the guest of this run has left unanswered. */
  unanswered = 0;
  /** Another VM has what this one needs: not started before this time (ms since the epoch). */
  heldUpUntil = 0;

  readonly internalErrors: InternalErrors;
  /** An error of ours where nobody awaits it: it ends the VM's life with the step that is under way. */
  fault: { readonly error: unknown } | undefined;

  #console = new AbortController();
  readonly #listener: ContextListener;
  readonly #sink: GuestLogSink;

  constructor(record: MachineRecord, systemID: SystemId, ports: MachinePorts, listener: ContextListener) {
    const { trouble, ...rest } = record;
    this.uid = record.uid;
    this.systemID = systemID;
    this.record = rest;
    this.trouble = trouble;
    this.log = new GuestLog(record.boot, record.guestLog);
    this.ports = { ...ports, logger: ports.logger.child({ uid: record.uid }) };
    if (record.assignment !== undefined) this.nameLogLines(record.assignment);
    this.internalErrors = new InternalErrors(ports);
    this.#listener = { changed: this.guarded(() => listener.changed()) };
    const onDropped = (lines: number) => this.log.countDropped(lines);
    this.#sink = ports.openGuestLog(record.uid, {
      onDropped,
      onFailure: (error) => this.ports.logger.error({ error: error.message }, 'the log of the guest cannot be kept'),
    });
    this.guestLog = new MachineLog({
      uid: record.uid,
      log: this.log,
      sink: this.#sink,
      output: ports.openGuestOutput?.(record.uid, onDropped),
      headChanged: () => this.#listener.changed(),
    });
  }

  /** From now on every line of the agent's log about this VM says which one it is. A VM is named once. */
  nameLogLines({ namespace, name }: Pick<Assignment, 'namespace' | 'name'>): void {
    this.ports.logger.setBindings({ vm: `${namespace}/${name}` });
  }

  /** For what is called from outside of the steps: an error of ours in it is this VM's alone. */
  guarded<Parameters extends readonly unknown[]>(
    act: (...parameters: Parameters) => void,
  ): (...parameters: Parameters) => void {
    return (...parameters) => {
      try {
        act(...parameters);
      } catch (error) {
        this.fault ??= { error };
        this.wakeup.notify();
      }
    };
  }

  get holder(): Holder {
    const { assignment } = this.record;
    return { uid: this.uid, namespace: assignment?.namespace, name: assignment?.name };
  }

  /** What it waited for is reserved for it. */
  onReserved(): void {
    this.heldUpUntil = 0;
    this.change = { ...this.change, notBefore: 0 };
    this.wakeup.notify();
  }

  /** Aborts when the pipe of the console is this VM's no more. */
  get consoleSignal(): AbortSignal {
    return this.#console.signal;
  }

  endConsole(): void {
    this.#console.abort();
    this.#console = new AbortController();
  }

  setTrouble({ reason, message }: Trouble): void {
    this.trouble = { reason, message };
    this.#listener.changed();
  }

  setChange(change: LiveChange): void {
    this.change = change;
    this.#listener.changed();
  }

  /** It is over, if it was one of these. */
  clearTrouble(...over: readonly ReasonCode[]): void {
    if (this.trouble !== undefined && over.includes(this.trouble.reason)) this.trouble = undefined;
  }

  /** Until something changed, or for so many milliseconds. */
  async sleep(milliseconds: number | undefined, signal: AbortSignal): Promise<undefined> {
    if (signal.aborted) return;
    const wake = () => this.wakeup.notify();
    const timer = milliseconds === undefined ? undefined : this.ports.clock.after(milliseconds, wake);
    await this.wakeup.wait();
    timer?.cancel();
  }

  decide(presence: Presence): Decision {
    const decision = decide(this.record, presence, this.released);
    if (!this.endsWithAgent || decision.kind === 'stop') return decision;
    return presence === 'absent' ? { kind: 'leave' } : { kind: 'stop', reason: 'AgentRestarted' };
  }

  bounded<T>(bound: Bound, call: string, run: () => Promise<T>): Promise<T> {
    return bounded(this.ports.clock, this.ports.timeouts[bound], call, run);
  }

  now(): string {
    return new Date(this.ports.clock.now()).toISOString();
  }

  async write(): Promise<void> {
    try {
      await this.ports.journal.write({ ...this.record, ...(this.trouble && { trouble: this.trouble }) });
    } catch (error) {
      throw new MachineFailure('JournalUnwritable', `cannot write the journal: ${messageOf(error)}`, error);
    }
  }

  /** For what must not be held up by a full disk: releasing. */
  async tryWrite(): Promise<void> {
    await this.write().catch((error: MachineFailure) => {
      this.ports.logger.error({ error: error.message }, 'journal not written');
    });
  }

  /** Waits for the overdue call, and keeps the system that it may have made or opened after all. */
  async lateResult(): Promise<'returned' | 'lost'> {
    const { overdue } = this;
    let event: 'returned' | 'lost' = 'returned';
    const result = await overdue?.catch((error: unknown) => {
      this.ports.logger.warn({ error: messageOf(error) }, 'an overdue call failed at last');
      if (error instanceof HcsError && error.isServiceDisconnect) event = 'lost';
      return undefined;
    });
    // It may have been given up meanwhile.
    if (this.overdue !== overdue) return event;
    this.overdue = undefined;
    this.unfinished = undefined;
    if (this.system === undefined && isComputeSystem(result)) this.system = result;
    return event;
  }

  /** The compute service went away, and every handle with it. */
  forgetHandles(): void {
    const { run } = this;
    this.found = undefined;
    this.system = undefined;
    this.unfinished = undefined;
    this.run = undefined;
    this.overdue = undefined;
    run?.abandon().catch((error: unknown) => {
      this.ports.logger.warn({ error: messageOf(error) }, 'the sockets of the guest did not close');
    });
  }

  guestRunPorts(): GuestRunPorts {
    return {
      ...this.ports,
      uid: this.uid,
      expects: expectationsOf(this.record.applied?.options),
      onLines: this.guarded((lines: readonly string[]) => this.guestLog.tellLines(lines)),
      stdio: stdioPorts(this),
      log: {
        scrub: this.record.applied?.options.ScrubLogs ?? false,
        rate: this.ports.guestLogRate,
        onRecords: this.guarded((records: readonly GuestLogRecord[]) =>
          this.guestLog.tellRecords(records, this.record.assignment),
        ),
        onDropped: (records) => this.log.countDropped(records),
      },
      onPhase: this.guarded((phase: keyof BootTimings) => {
        this.record = history.timed(this.record, phase, this.now());
        this.#listener.changed();
      }),
      onConnection: this.guarded(() => {
        // Disks may have waited for it.
        this.wakeup.notify();
        this.#listener.changed();
      }),
    };
  }

  /** Before the folder may go in which the lines are kept. */
  flushGuestLog(): Promise<void> {
    return this.#sink.flush();
  }

  get logFiles(): LogFiles {
    return this.#sink;
  }

  /** The numbers of lines go on where an earlier agent stopped: none is given twice. */
  async continueLog(): Promise<void> {
    const last = await this.#lastLogged();
    if (last === undefined) return;
    this.log.continueAfter(last);
    // The record of a VM can be lost, and its log not.
    if (last.boot > this.record.boot) this.record = { ...this.record, boot: last.boot };
  }

  async #lastLogged(): Promise<LogPosition | undefined> {
    try {
      return await this.#sink.lastPosition();
    } catch (error) {
      this.ports.logger.warn({ error: messageOf(error) }, 'the log of an earlier run cannot be read');
      return undefined;
    }
  }

  currentPlan(): BootPlan {
    if (this.plan === undefined) throw new MachineFailure('HostQueryFailed', 'the VM was not prepared');
    return this.plan;
  }

  currentSystem(): ComputeSystem {
    if (this.system === undefined) throw new MachineFailure('NotCreated', 'the compute system does not exist');
    return this.system;
  }

  currentRun(): GuestRun {
    if (this.run === undefined) throw new MachineFailure('NotCreated', 'the listeners of the guest are not open');
    return this.run;
  }
}

function isComputeSystem(value: unknown): value is ComputeSystem {
  return typeof value === 'object' && value !== null && 'terminate' in value && 'ended' in value;
}
