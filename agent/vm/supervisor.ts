// Supervises all VMs of the node (design §8). At the start it learns from the journal and HCS which VMs exist. Then it
// passes each VM its assignment, and forgets VMs that are gone. Absence is never a reason here: a VM that the operator
// does not mention stays as it is. Only a `release` of its uid tears it down.
import type { Logger } from 'pino';
import type { Intent } from '../../protocol/intent.ts';
import {
  type Assignment,
  assignment,
  type Element,
  type ElementFailure,
  type LastExit,
  limits,
  type ObservedCondition,
  type ObservedVirtualMachine,
} from '../../protocol/messages.ts';
import { delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { bounded, within } from '../bounds/bounded.ts';
import type { SystemProperties } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import { ownerTag, systemIdOf, uidOf } from '../node/system-id.ts';
import { isConfirmed } from './history.ts';
import type { VirtualMachinePorts } from './ports.ts';
import { type MachineRecord, newRecord, reservedBy } from './record.ts';
import { Reservations } from './reservations.ts';
import { VirtualMachine, type VirtualMachineListener } from './virtual-machine.ts';

export interface SupervisorListener {
  changed(uid: string): void;
  /** The VM, its files and its journal entry are gone. */
  removed(uid: string, lastExit?: LastExit): void;
  /** The compute service went away: the state of all VMs is unknown until a new enumeration. */
  serviceLost(): void;
}

const vmName = assignment.pick({ namespace: true, name: true });

interface Refusal {
  readonly failure: ElementFailure;
  readonly generation: number | undefined;
}

export class Supervisor {
  readonly #ports: VirtualMachinePorts;
  readonly #listener: SupervisorListener;
  readonly #signal: AbortSignal;
  readonly #machines = new Map<string, VirtualMachine>();
  readonly #lives = new Set<Promise<void>>();
  /** Assignments that arrived during the teardown of an earlier VM with the same uid. */
  readonly #next = new Map<string, Assignment>();
  readonly #refusals = new Map<string, Refusal>();
  #isEnding = false;

  constructor(ports: Omit<VirtualMachinePorts, 'reservations'>, listener: SupervisorListener, signal: AbortSignal) {
    this.#ports = { ...ports, reservations: new Reservations() };
    this.#listener = listener;
    this.#signal = signal;
  }

  /** Resolves once HCS was enumerated completely. Until then no VM is judged. */
  async recover(): Promise<void> {
    const { records, quarantined } = await this.#ports.journal.load();
    for (const { uid, file, message } of quarantined) {
      this.#ports.logger.error({ uid, file, error: message }, 'a journal file cannot be read and was put aside');
      this.#ports.tally?.journalQuarantined();
    }
    const ours = new Map<string, SystemProperties>();
    for (const system of await this.#enumerate()) {
      const uid = system.owner === ownerTag ? uidOf(system.id) : undefined;
      if (uid !== undefined) ours.set(uid, system);
    }
    const unconfirmed = records.filter((record) => !isConfirmed(record, this.#ports.hostStartedAt)).length;
    if (unconfirmed > 0) {
      this.#ports.logger.info(
        { unconfirmed },
        'the host was restarted: its VMs start when the operator assigns them again',
      );
    }
    // Reserve before any VM starts: VMs that may still run use their resources.
    for (const record of records) this.#reserve(record, ours.has(record.uid));
    const known = new Set(records.map((record) => record.uid));
    const unknown = [...ours.keys()].filter((uid) => !known.has(uid));
    const recovering = records.map((record) => this.#find(record, ours.get(record.uid)));
    for (const uid of unknown) this.#ports.reservations.holdUnknown(uid);
    for (const uid of unknown) this.#find(newRecord(uid, this.#ports.agentBootID), ours.get(uid));
    // Until a VM was looked up, its report says only that it is unknown. The wait for slow VMs has a bound.
    const patience = delay(this.#ports.clock, this.#ports.timeouts.recovery, this.#signal);
    await Promise.race([Promise.all(recovering.map(({ known }) => known)), patience]);
    this.#ports.logger.info({ journaled: records.length, inHcs: ours.size, unknown: unknown.length }, 'recovered');
  }

  #reserve(record: MachineRecord, isThere: boolean): void {
    const { reservations } = this.#ports;
    const { assignment, uid } = record;
    const isKnown = record.stage !== 'none' && record.applied !== undefined;
    if (isThere && !isKnown) reservations.holdUnknown(uid);
    else reservations.hold({ uid, namespace: assignment?.namespace, name: assignment?.name }, reservedBy(record));
  }

  #find(record: MachineRecord, properties: SystemProperties | undefined): VirtualMachine {
    const machine = this.#add(record);
    machine.found(properties);
    return machine;
  }

  async #enumerate(): Promise<readonly SystemProperties[]> {
    const { backend, clock, timeouts, logger } = this.#ports;
    for (;;) {
      try {
        return await bounded(clock, timeouts.query, 'HcsEnumerateComputeSystems', () => backend.enumerate());
      } catch (error) {
        logger.error({ error: messageOf(error) }, 'HCS cannot be enumerated; no VM is judged until it can');
        if (error instanceof HcsError && error.isServiceDisconnect) this.#listener.serviceLost();
        await delay(clock, timeouts.enumerateRetry, this.#signal);
      }
    }
  }

  async assign(assignment: Assignment): Promise<void> {
    if (this.#isEnding) return;
    const { uid } = assignment;
    this.#refusals.delete(uid);
    const machine = this.#machines.get(uid) ?? this.#create(assignment);
    if (machine === undefined) return;
    if (machine.released) this.#next.set(uid, assignment);
    else await machine.assign(assignment);
  }

  /** A refused assignment stays refused, because an intent brings no new options. */
  async intend(intent: Intent): Promise<void> {
    const { uid } = intent;
    const machine = this.#machines.get(uid) ?? this.#create(intent);
    // The operator sends the intent again once a VM that is being torn down is gone.
    if (machine === undefined || machine.released) return;
    await machine.intend(intent);
  }

  #create({ uid, generation }: Pick<Assignment, 'uid' | 'generation'>): VirtualMachine | undefined {
    if (this.#machines.size >= limits.virtualMachinesPerHost) {
      const message = `this host holds ${limits.virtualMachinesPerHost} VMs already`;
      this.refuse({ uid, reason: 'ProtocolError', message }, generation);
      return undefined;
    }
    const machine = this.#add(newRecord(uid, this.#ports.agentBootID));
    // The enumeration at the start was complete, and only this agent creates systems with these ids.
    machine.found(undefined);
    return machine;
  }

  /** The agent could not understand the assignment of this VM: the VM stays as it is and reports the problem. */
  refuse(failure: ElementFailure, generation: number | undefined): void {
    const isNew = !this.#machines.has(failure.uid) && !this.#refusals.has(failure.uid);
    // The operator accepts reports about at most this number of VMs of a host.
    if (isNew && this.count >= limits.virtualMachinesPerHost) return;
    this.#refusals.set(failure.uid, { failure, generation });
    this.#listener.changed(failure.uid);
  }

  release(uid: string): void {
    this.#refusals.delete(uid);
    this.#next.delete(uid);
    const machine = this.#machines.get(uid);
    if (machine === undefined) this.#listener.removed(uid);
    else machine.release();
  }

  machine(uid: string): VirtualMachine | undefined {
    return this.#machines.get(uid);
  }

  /** The logger for lines about one VM. The VM may not be on this host, and its name may be invalid. */
  loggerOf(virtualMachine: Element): Logger {
    const { uid } = virtualMachine;
    const named = vmName.safeParse(virtualMachine).data;
    const vm = named && { vm: `${named.namespace}/${named.name}` };
    return this.#machines.get(uid)?.logger ?? this.#ports.logger.child({ ...vm, uid });
  }

  /** The number of VMs with a report. */
  get count(): number {
    const refused = this.#refusals.keys().filter((uid) => !this.#machines.has(uid));
    return this.#machines.size + refused.reduce((sum) => sum + 1, 0);
  }

  uids(): readonly string[] {
    return [...new Set([...this.#machines.keys(), ...this.#refusals.keys()])];
  }

  observe(uid: string): ObservedVirtualMachine | undefined {
    const refusal = this.#refusals.get(uid);
    try {
      const observed = this.#machines.get(uid)?.observe();
      return refusal === undefined ? observed : refused(uid, observed, refusal);
    } catch (error) {
      // A report that cannot be made does not keep the reports of other VMs from being sent.
      this.loggerOf({ uid }).error({ error: messageOf(error) }, 'the report of a VM cannot be made');
      return undefined;
    }
  }

  /** The agent ends: stops the VMs that end with it, all at the same time and within a bound. */
  async endWithAgent(): Promise<void> {
    this.#isEnding = true;
    const { clock, logger, timeouts } = this.#ports;
    const stopped = Promise.all([...this.#machines.values()].map((machine) => machine.endWithAgent()));
    if ((await within(clock, timeouts.agentEnd, stopped)) !== 'waiting') return;
    logger.error({ milliseconds: timeouts.agentEnd }, 'not all VMs that end with this agent could be stopped in time');
  }

  /** Resolves when no step is under way any more after the signal aborted. The VMs are left as they are. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#lives);
  }

  #add(record: MachineRecord): VirtualMachine {
    const machine = new VirtualMachine(record, systemIdOf(record.uid), this.#ports, this.#machineListener);
    this.#machines.set(record.uid, machine);
    const life = machine
      .live(this.#signal)
      .then(() => this.#lived(machine))
      .catch((error: unknown) => {
        machine.logger.fatal({ error: messageOf(error) }, 'the life of a VM ended with an internal error');
      })
      .finally(() => this.#lives.delete(life));
    this.#lives.add(life);
    return machine;
  }

  #lived(machine: VirtualMachine): void {
    if (machine.state !== 'Forgotten') return;
    this.#machines.delete(machine.uid);
    this.#listener.removed(machine.uid, machine.lastExit);
    const next = this.#next.get(machine.uid);
    if (next === undefined) return;
    this.#next.delete(machine.uid);
    this.assign(next).catch((error: unknown) =>
      machine.logger.error({ error: messageOf(error) }, 'assignment after a release failed'),
    );
  }

  readonly #machineListener: VirtualMachineListener = {
    changed: (machine) => this.#listener.changed(machine.uid),
    lost: () => this.#listener.serviceLost(),
  };
}

function refused(
  uid: string,
  observed: ObservedVirtualMachine | undefined,
  { failure, generation }: Refusal,
): ObservedVirtualMachine {
  const problem = { reason: failure.reason, message: failure.message };
  const conditions: ObservedCondition[] = [
    ...(observed?.conditions ?? []).filter(
      ({ type }) => type !== 'Ready' && type !== 'Stalled' && type !== 'Reconciling',
    ),
    { type: 'Ready', status: 'False', ...problem },
    { type: 'Stalled', status: 'True', ...problem },
  ];
  return {
    ...(observed ?? {
      uid,
      phase: 'Failed',
      restarts: 0,
      guestLog: { head: [], tail: [], total: 0, dropped: 0 },
      bootTimings: {},
      warnings: [],
    }),
    ...(generation !== undefined && { generation }),
    conditions,
  };
}
