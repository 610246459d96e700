// One agent's reports about its VMs, by uid, within a budget of bytes (docs/design.md §10). Over the budget a report
// loses its log text, warnings and devices, and then all of its content; that the VM exists is never lost.
// ../../agents/report-reading.ts parses the messages.
import type { ElementFailure, ObservedVirtualMachine } from '../../../protocol/messages.ts';

export interface Report {
  readonly observed: ObservedVirtualMachine | undefined;
  /** The last unreadable report about the VM, unless a readable one came later. */
  readonly failure: ElementFailure | undefined;
}

export interface SizedReport extends Report {
  readonly uid: string;
  /** Size of `observed` as JSON. */
  readonly bytes: number;
}

export function sizedReport(observed: ObservedVirtualMachine): SizedReport {
  return { uid: observed.uid, observed, failure: undefined, bytes: Buffer.byteLength(JSON.stringify(observed)) };
}

export function refusedReport(uid: string, why: string): SizedReport {
  const message = `the report about the VM was refused: ${why}`;
  return { uid, observed: undefined, failure: { uid, reason: 'ProtocolError', message }, bytes: 0 };
}

/** Drops log text, warnings and devices of the VM; the ones known before stay valid. */
function abridged({ devices, ...observed }: ObservedVirtualMachine): SizedReport {
  const guestLog = { ...observed.guestLog, head: [], tail: [] };
  return sizedReport({ ...observed, guestLog, warnings: [], abridged: true });
}

export class Reports {
  readonly #byUid = new Map<string, SizedReport>();
  readonly #budget: (virtualMachines: number) => number;
  #bytes = 0;

  /** @param budget bytes for all reports together, as a function of the number of VMs */
  constructor(budget: (virtualMachines: number) => number) {
    this.#budget = budget;
  }

  get byUid(): ReadonlyMap<string, SizedReport> {
    return this.#byUid;
  }

  /** Keeps as much as there is room for and returns it. An unreadable report leaves the last readable one in place. */
  take(report: SizedReport): SizedReport {
    const before = this.#byUid.get(report.uid);
    const fitting = report.observed === undefined ? report : this.#fitted(report, report.observed, before);
    const kept = fitting.observed === undefined ? { ...fitting, ...goodPart(before) } : fitting;
    this.#byUid.set(report.uid, kept);
    this.#bytes += kept.bytes - (before?.bytes ?? 0);
    return kept;
  }

  delete(uid: string): void {
    this.#bytes -= this.#byUid.get(uid)?.bytes ?? 0;
    this.#byUid.delete(uid);
  }

  clear(): void {
    this.#byUid.clear();
    this.#bytes = 0;
  }

  #fitted(report: SizedReport, observed: ObservedVirtualMachine, before: SizedReport | undefined): SizedReport {
    const virtualMachines = this.#byUid.size + (before === undefined ? 1 : 0);
    const budget = this.#budget(virtualMachines);
    const room = budget - this.#bytes + (before?.bytes ?? 0);
    if (report.bytes <= room) return report;
    const shorter = abridged(observed);
    return shorter.bytes <= room ? shorter : refusedReport(report.uid, `all together are of more than ${budget} bytes`);
  }
}

function goodPart(before: SizedReport | undefined): Pick<SizedReport, 'observed' | 'bytes'> {
  return { observed: before?.observed, bytes: before?.bytes ?? 0 };
}
