// What the agents reported, by host: the only source of truth about what runs where. Kept over the end of a session, so
// that nothing is concluded from its absence; replaced as a whole by the next session's hello.
import type { Clock } from '../../protocol/clock.ts';
import {
  type Element,
  type ElementFailure,
  type ObservedVirtualMachine,
  parseObserved,
} from '../../protocol/messages.ts';

export interface Report {
  readonly observed: ObservedVirtualMachine | undefined;
  /** The last report about the VM that could not be understood, if none came after it. */
  readonly failure: ElementFailure | undefined;
}

/** `Unknown` unless the agent is connected, has enumerated HCS completely and knows what it shall have. */
export type Presence = 'Present' | 'Absent' | 'Unknown';

interface HostRecord {
  connected: boolean;
  /** HCS was fully enumerated for the hello of this session. */
  complete: boolean;
  /** The agent has been sent all that it shall have: from now on nothing is assigned behind our back. */
  settled: boolean;
  /** When the session ended; meaningless while connected. */
  endedAt: number;
  readonly reports: Map<string, Report>;
  /** Told to the agent and not yet reported by it: must be taken to exist. */
  readonly assigned: Set<string>;
}

/** Without a session for this long a host counts as disconnected (design §5). */
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

  /** Told whenever what is known of a VM on a host changes. */
  onReport(listener: (nodeName: string, uid: string) => void): void {
    this.#listeners.push(listener);
  }

  /** A session begins with everything that its agent knows. */
  begin(nodeName: string, elements: readonly Element[], complete: boolean): void {
    const before = this.#hosts.get(nodeName);
    const record: HostRecord = {
      connected: true,
      complete,
      settled: false,
      endedAt: 0,
      reports: new Map(),
      assigned: new Set(before?.assigned),
    };
    this.#hosts.set(nodeName, record);
    for (const element of elements) this.#report(record, element);
    const affected = new Set([...(before?.reports.keys() ?? []), ...record.reports.keys()]);
    for (const uid of affected) this.#tell(nodeName, uid);
  }

  settle(nodeName: string): void {
    const record = this.#hosts.get(nodeName);
    if (record !== undefined) record.settled = true;
  }

  observed(nodeName: string, element: Element): Report | undefined {
    const record = this.#hosts.get(nodeName);
    if (record === undefined) return undefined;
    const report = this.#report(record, element);
    this.#tell(nodeName, element.uid);
    return report;
  }

  removed(nodeName: string, uid: string): void {
    const record = this.#hosts.get(nodeName);
    if (record === undefined) return;
    record.reports.delete(uid);
    record.assigned.delete(uid);
    this.#tell(nodeName, uid);
  }

  assigned(nodeName: string, uid: string): void {
    const record = this.#hosts.get(nodeName);
    if (record !== undefined && !record.reports.has(uid)) record.assigned.add(uid);
  }

  /** Changes nothing but the time since which the host is away. */
  end(nodeName: string): void {
    const record = this.#hosts.get(nodeName);
    if (record === undefined) return;
    record.connected = false;
    record.endedAt = this.#clock.now();
  }

  isConnected(nodeName: string): boolean {
    return this.#hosts.get(nodeName)?.connected ?? false;
  }

  /** Milliseconds until the host counts as disconnected: 0 when it does, undefined while connected. */
  untilDisconnected(nodeName: string): number | undefined {
    const record = this.#hosts.get(nodeName);
    if (record?.connected === true) return undefined;
    const since = record?.endedAt ?? this.#startedAt;
    return Math.max(0, since + disconnectedAfterMilliseconds - this.#clock.now());
  }

  reportOf(nodeName: string, uid: string): Report | undefined {
    return this.#hosts.get(nodeName)?.reports.get(uid);
  }

  reportedOn(nodeName: string): ReadonlyMap<string, Report> {
    return this.#hosts.get(nodeName)?.reports ?? new Map();
  }

  presence(nodeName: string, uid: string): Presence {
    const record = this.#hosts.get(nodeName);
    if (record === undefined || !record.connected) return 'Unknown';
    if (record.reports.has(uid) || record.assigned.has(uid)) return 'Present';
    return record.complete && record.settled ? 'Absent' : 'Unknown';
  }

  /** Connected hosts that reported the VM, by name. */
  holdersOf(uid: string): readonly string[] {
    const holders: string[] = [];
    // Asked for with each change of each VM, of all hosts: nothing is made for those that have it not.
    for (const [nodeName, { connected, reports }] of this.#hosts) {
      if (connected && reports.has(uid)) holders.push(nodeName);
    }
    return holders.sort();
  }

  /** A report that cannot be read leaves the last good one in place. */
  #report(record: HostRecord, element: Element): Report {
    const parsed = parseObserved(element);
    const report: Report = parsed.ok
      ? { observed: parsed.value, failure: undefined }
      : { observed: record.reports.get(element.uid)?.observed, failure: parsed.failure };
    record.reports.set(element.uid, report);
    record.assigned.delete(element.uid);
    return report;
  }

  #tell(nodeName: string, uid: string): void {
    for (const listener of this.#listeners) listener(nodeName, uid);
  }
}
