// What one agent reported of its VMs, by uid, within a budget in bytes (docs/design.md §10). Over the budget a report loses
// its log text, warnings and devices, and then all of it; that the VM exists is never lost. The messages themselves are read
// in ../../agents/report-reading.ts.
import type { ElementFailure, ObservedVirtualMachine } from '../../../protocol/messages.ts';

export interface Report {
  readonly observed: ObservedVirtualMachine | undefined;
  /** The last report about the VM that could not be understood, if none came after it. */
  readonly failure: ElementFailure | undefined;
}

export interface SizedReport extends Report {
  readonly uid: string;
  /** What `observed` takes as JSON. */
  readonly bytes: number;
}

export function sizedReport(observed: ObservedVirtualMachine): SizedReport {
  return { uid: observed.uid, observed, failure: undefined, bytes: Buffer.byteLength(JSON.stringify(observed)) };
}

export function refusedReport(uid: string, why: string): SizedReport {
  const message = `the report about the VM was refused: ${why}`;
  return { uid, observed: undefined, failure: { uid, reason: 'ProtocolError', message }, bytes: 0 };
}

/** Log text, warnings and devices of the VM are as they were known before. */
function abridged({ devices, ...observed }: ObservedVirtualMachine): SizedReport {
  const guestLog = { ...observed.guestLog, head: [], tail: [] };
  return sizedReport({ ...observed, guestLog, warnings: [], abridged: true });
}

export class Reports {
  readonly #byUid = new Map<string, SizedReport>();
  readonly #budget: (virtualMachines: number) => number;
  #bytes = 0;

  /** @param budget of all reports together, in bytes, given of how many VMs they are */
  constructor(budget: (virtualMachines: number) => number) {
    this.#budget = budget;
  }

  get byUid(): ReadonlyMap<string, SizedReport> {
    return this.#byUid;
  }

  /** Keeps what there is room for, and returns it. What cannot be read leaves the last good report in place. */
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
