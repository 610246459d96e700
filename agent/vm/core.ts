// The parts of a VM that all its states share: its identity, the ports of the agent, and one small object for each
// duty. `situation.ts` has the data that only some states have.
import type { Assignment } from '../../protocol/messages.ts';
import { bounded, CallOverdue } from '../bounds/bounded.ts';
import type { Timeouts } from '../bounds/timeouts.ts';
import { Wakeup } from '../bounds/wakeup.ts';
import { MachineFailure } from '../failure.ts';
import type { SystemId } from '../node/backend.ts';
import { type Decision, decide } from './decision.ts';
import { FaultTrap } from './fault-trap.ts';
import { isConfirmed } from './history.ts';
import { HostClaim } from './host-claim.ts';
import { InternalErrors } from './internal-errors.ts';
import { VirtualMachineLog } from './log.ts';
import type { VirtualMachinePorts } from './ports.ts';
import { LiveProcess } from './process/live-process.ts';
import type { MachineRecord } from './record.ts';
import { RecordStore } from './record-store.ts';
import type { Presence } from './states.ts';

type Bound = Extract<keyof Timeouts, 'create' | 'query' | 'copy' | 'closeHandle' | 'modify'>;

export interface CoreListener {
  /** The report of the VM has changed. */
  changed(): void;
  /** The resource that the VM waited for is reserved for it. */
  reserved(): void;
}

export class VirtualMachineCore {
  readonly uid: string;
  readonly systemID: SystemId;
  /** The logger in these ports adds the VM's uid and name to each line. */
  readonly ports: VirtualMachinePorts;
  readonly store: RecordStore;
  readonly log: VirtualMachineLog;
  readonly wakeup = new Wakeup();
  readonly faults = new FaultTrap(this.wakeup);
  readonly internalErrors: InternalErrors;
  readonly claim = new HostClaim();
  readonly process = new LiveProcess(() => this.wakeup.notify());
  /** Whether the VM is to end for good, or with the agent, whatever its assignment says. */
  readonly end = { released: false, withAgent: false };
  readonly listener: CoreListener;

  constructor(record: MachineRecord, systemID: SystemId, ports: VirtualMachinePorts, listener: CoreListener) {
    this.uid = record.uid;
    this.systemID = systemID;
    this.listener = {
      changed: this.faults.guarded(() => listener.changed()),
      reserved: () => listener.reserved(),
    };
    const logger = ports.logger.child({ uid: record.uid });
    this.ports = { ...ports, logger };
    const { changed } = this.listener;
    this.store = new RecordStore(record, { journal: ports.journal, logger, troubleChanged: changed });
    this.log = new VirtualMachineLog(record, this.ports, changed);
    this.internalErrors = new InternalErrors(ports);
    if (record.assignment !== undefined) this.nameLogLines(record.assignment);
  }

  /** From now on every line of the agent's log about this VM has its name. Call this once. */
  nameLogLines({ namespace, name }: Pick<Assignment, 'namespace' | 'name'>): void {
    this.ports.logger.setBindings({ vm: `${namespace}/${name}` });
  }

  /** The decision about this VM when its state has this presence. */
  decide(presence: Presence): Decision {
    const decision = this.#decideForHost(presence);
    if (!this.end.withAgent || decision.kind === 'stop') return decision;
    return presence === 'absent' ? { kind: 'leave' } : { kind: 'stop', reason: 'AgentRestarted' };
  }

  /** A host that was off may have lost the VM to another one: then the operator has to assign it again first. */
  #decideForHost(presence: Presence): Decision {
    const { record } = this.store;
    const decision = decide(record, presence, this.end.released);
    const mayStart = isConfirmed(record, this.ports.hostStartedAt);
    return decision.kind === 'start' && !mayStart ? { kind: 'leave' } : decision;
  }

  /** Sleeps until something changes, but at most the given time. */
  async sleep(milliseconds: number | undefined, signal: AbortSignal): Promise<undefined> {
    if (signal.aborted) return;
    const wake = () => this.wakeup.notify();
    const timer = milliseconds === undefined ? undefined : this.ports.clock.after(milliseconds, wake);
    await this.wakeup.wait();
    timer?.cancel();
  }

  bounded<T>(bound: Bound, call: string, run: () => Promise<T>): Promise<T> {
    return bounded(this.ports.clock, this.ports.timeouts[bound], call, run);
  }

  /** Looks at facts and files of the host. A look that exceeds its bound is given up, because it changes nothing. */
  async lookUp<T>(what: string, look: () => Promise<T>): Promise<T> {
    const { clock, timeouts } = this.ports;
    try {
      return await bounded(clock, timeouts.lookUp, what, look);
    } catch (error) {
      if (!(error instanceof CallOverdue)) throw error;
      throw new MachineFailure('HostQueryFailed', error.message, error);
    }
  }

  now(): string {
    return new Date(this.ports.clock.now()).toISOString();
  }
}
