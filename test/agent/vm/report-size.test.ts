// However much guests and users put into a report, it stays within what an operator keeps, and says what is missing.
import { describe, expect, it } from 'vitest';
import { abridgedReport, fittedReport, reportShare } from '../../../agent/vm/report-size.ts';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { limits, type ObservedVirtualMachine, parseObserved } from '../../../protocol/messages.ts';
import { someUid as uid } from '../../support/agent/assignments.ts';

const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
const times = <T>(count: number, value: T) => Array.from({ length: count }, () => value);
const message = '語'.repeat(limits.messageChars);

/** A report with the longest value of every member. */
const longest: ObservedVirtualMachine = {
  uid,
  phase: 'Running',
  conditions: times(7, { type: 'Ready', status: 'False', reason: 'StartFailed', message }),
  restarts: 0,
  lastExit: { type: 'Unknown', time: '2026-01-01T00:00:00.000Z', message },
  guest: { osType: 'linux', protocolVersion: 4, capabilities: times(4, 'SignalProcessSupported') },
  guestLog: {
    head: times(limits.logHeadLines, '語'.repeat(limits.statusLineChars)),
    tail: times(limits.logTailLines, '"'.repeat(limits.statusLineChars)),
    total: 1_000_000,
    dropped: 5,
  },
  bootTimings: {},
  warnings: times(limits.warnings, '語'.repeat(limits.warningChars)),
  devices: {
    vpmem: times(128, { slot: 0, path: `C:\\${'語'.repeat(1_000)}` }),
    scsi: times(256, { controller: 0, lun: 0, path: `C:\\${'語'.repeat(1_000)}` }),
    assigned: times(64, { instanceID: 'x'.repeat(512), vmbusID: 'x'.repeat(64) }),
  },
};

describe('a report', () => {
  it('that is small enough is unchanged', () => {
    const small = { ...longest, conditions: [], devices: undefined, warnings: [] };
    expect(fittedReport(small, limits.reportBytes)).toBe(small);
  });

  it('loses log lines first: the oldest of the last lines come first', () => {
    const lines = Array.from({ length: limits.logTailLines }, (_, index) => `${index} ${'x'.repeat(200)}`);
    const { lastExit: _exit, ...rest } = longest;
    const report = { ...rest, conditions: [], warnings: [], devices: undefined };
    const withLines = { ...report, guestLog: { ...report.guestLog, tail: lines } };
    const fitted = fittedReport(withLines, sizeOf(withLines) - 500);
    expect(fitted.guestLog.head).toEqual(withLines.guestLog.head);
    expect(fitted.guestLog.tail.at(-1)).toBe(lines.at(-1));
    expect(fitted.guestLog.tail.length).toBeGreaterThan(5);
    expect(fitted.guestLog.tail.length).toBeLessThan(limits.logTailLines);
    expect(fitted.warnings).toEqual([expect.stringContaining('log lines')]);
  });

  it.each([1, 512, 513, 1024, 1025, limits.virtualMachinesPerHost])(
    'of the maximum length is shortened to fit among %i reports, is valid, and says what is missing',
    (virtualMachines) => {
      const share = reportShare(virtualMachines);
      const fitted = fittedReport(longest, share);
      expect(sizeOf(fitted)).toBeLessThanOrEqual(share);
      expect(share * virtualMachines).toBeLessThan(limits.reportsBytes);
      expect(fitted.warnings[0]).toContain('log lines, warnings, devices');
      expect(readReport(fitted).failure).toBeUndefined();
    },
  );

  it('in a hello has no log text and no devices, and stays small', () => {
    const abridged = abridgedReport(longest);
    expect(abridged).toMatchObject({
      abridged: true,
      guestLog: { head: [], tail: [], total: 1_000_000 },
      warnings: [],
    });
    expect(abridged).not.toHaveProperty('devices');
    expect(sizeOf(abridged)).toBeLessThanOrEqual(limits.helloBytesPerVirtualMachine);
    expect(parseObserved(abridged).ok).toBe(true);
  });
});
