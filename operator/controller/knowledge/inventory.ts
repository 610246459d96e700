// The agents' reports, by host: the only source of truth about which VM runs where. Kept after the end of a session, so
// that nothing is concluded from its absence; replaced as a whole by the hello of the next session.

import { type LastExit, limits } from '../../../protocol/messages.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { type Report, Reports, type SizedReport } from './reports.ts';

/** `Unknown` unless the agent is connected, has enumerated HCS completely and has its desired state. */
export type Presence = 'Present' | 'Absent' | 'Unknown';

interface HostRecord {
  connected: boolean;
  /** HCS was fully enumerated for the hello of this session. */
  complete: boolean;
  /** The agent has received its whole desired state: from now on every assignment goes through this inventory. */
  settled: boolean;
  /** When the session ended; meaningless while connected. */
  endedAt: number;
  readonly reports: Reports;
  /** The last exits of VMs that are gone from the host. */
  readonly ends: Map<string, LastExit>;
  /** VMs that were assigned to the agent and not reported yet. They must be assumed to exist. */
  readonly assigned: Set<string>;
}

const rememberedEnds = 1_024;
/** A host counts as disconnected after this long without a session (design §5). */
export const disconnectedAfterMilliseconds = 60_000;

export class Inventory {
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #hosts = new Map<string, HostRecord>();
  readonly #listeners: ((nodeName: string, uid: string) => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.now();
  }

  /** Called whenever the knowledge about a VM on a host changes. */
  onReport(listener: (nodeName: string, uid: string) => void): void {
    this.#listeners.push(listener);
  }

  /** Starts a session with the VMs of its hello. */
  begin(nodeName: string, reports: Iterable<SizedReport>, complete: boolean): void {
    const before = this.#hosts.get(nodeName);
    const record: HostRecord = {
      connected: true,
      complete,
      settled: false,
      endedAt: 0,
      reports: new Reports(() => limits.reportsBytes),
      ends: new Map(),
      assigned: new Set(before?.assigned),
    };
    this.#hosts.set(nodeName, record);
    for (const report of reports) this.#report(record, report);
    const affected = new Set([...(before?.reports.byUid.keys() ?? []), ...record.reports.byUid.keys()]);
    for (const uid of affected) this.#tell(nodeName, uid);
  }

  settle(nodeName: string): void {
    const record = this.#hosts.get(nodeName);
    if (record !== undefined) record.settled = true;
  }

  /** Returns the part of the report that was kept. */
  observed(nodeName: string, report: SizedReport): Report | undefined {
    const record = this.#hosts.get(nodeName);
    if (record === undefined) return undefined;
    const kept = this.#report(record, report);
    this.#tell(nodeName, report.uid);
    return kept;
  }

  /** `lastExit`: how the VM ended there. */
  removed(nodeName: string, uid: string, lastExit?: LastExit): void {
    const record = this.#hosts.get(nodeName);
    if (record === undefined) return;
    const last = record.reports.byUid.get(uid)?.observed;
    this.#keepEnd(record, uid, lastExit ?? last?.lastExit);
    record.reports.delete(uid);
    record.assigned.delete(uid);
    this.#tell(nodeName, uid);
  }

  /** How a VM ended that its host removed since the session began. */
  endOf(nodeName: string, uid: string): LastExit | undefined {
    return this.#hosts.get(nodeName)?.ends.get(uid);
  }

  #keepEnd({ ends }: HostRecord, uid: string, end: LastExit | undefined): void {
    ends.delete(uid);
    if (end !== undefined) ends.set(uid, end);
    for (const oldest of ends.keys()) {
      if (ends.size <= rememberedEnds) return;
      ends.delete(oldest);
    }
  }

  assigned(nodeName: string, uid: string): void {
    const record = this.#hosts.get(nodeName);
    if (record !== undefined && !record.reports.byUid.has(uid)) record.assigned.add(uid);
  }

  /**
   * Only marks the host as away. Reports about VMs without an object are dropped: without a session they are worthless,
   * and an agent could invent them.
   */
  end(nodeName: string, isKnown: (uid: string) => boolean = () => true): void {
    const record = this.#hosts.get(nodeName);
    if (record === undefined) return;
    record.connected = false;
    record.endedAt = this.#clock.now();
    for (const uid of [...record.reports.byUid.keys()]) if (!isKnown(uid)) record.reports.delete(uid);
    for (const uid of [...record.assigned]) if (!isKnown(uid)) record.assigned.delete(uid);
  }

  isConnected(nodeName: string): boolean {
    return this.#hosts.get(nodeName)?.connected ?? false;
  }

  /** Whether the host is connected and has listed all its VMs. */
  hasListed(nodeName: string): boolean {
    const record = this.#hosts.get(nodeName);
    return record?.connected === true && record.complete && record.settled;
  }

  /** Milliseconds until the host counts as disconnected: 0 if it already does, undefined while connected. */
  untilDisconnected(nodeName: string): number | undefined {
    const record = this.#hosts.get(nodeName);
    if (record?.connected === true) return undefined;
    const since = record?.endedAt ?? this.#startedAt;
    return Math.max(0, since + disconnectedAfterMilliseconds - this.#clock.now());
  }

  reportOf(nodeName: string, uid: string): Report | undefined {
    return this.#hosts.get(nodeName)?.reports.byUid.get(uid);
  }

  reportedOn(nodeName: string): ReadonlyMap<string, Report> {
    return this.#hosts.get(nodeName)?.reports.byUid ?? new Map();
  }

  presence(nodeName: string, uid: string): Presence {
    const record = this.#hosts.get(nodeName);
    if (record === undefined || !record.connected) return 'Unknown';
    if (record.reports.byUid.has(uid) || record.assigned.has(uid)) return 'Present';
    return record.complete && record.settled ? 'Absent' : 'Unknown';
  }

  /** Names of the connected hosts that reported the VM. */
  holdersOf(uid: string): readonly string[] {
    const holders: string[] = [];
    // Called for each change of any VM, so it allocates nothing for hosts without the VM.
    for (const [nodeName, { connected, reports }] of this.#hosts) {
      if (connected && reports.byUid.has(uid)) holders.push(nodeName);
    }
    return holders.sort();
  }

  #report(record: HostRecord, report: SizedReport): Report {
    const kept = record.reports.take(report);
    record.assigned.delete(report.uid);
    return kept;
  }

  #tell(nodeName: string, uid: string): void {
    for (const listener of this.#listeners) listener(nodeName, uid);
  }
}
