import { describe, expect, it } from 'vitest';
import { GuestLog } from '../../agent/guest-log.ts';
import { MachineLog } from '../../agent/machine-log.ts';
import type { GuestLogSink } from '../../agent/machine-ports.ts';
import { limits } from '../../protocol/messages.ts';

const empty = { head: [], tail: [], total: 0, dropped: 0 };
const newLog = () => new GuestLog(1, empty);

describe('the log of a guest', () => {
  it('keeps the first lines of a boot and the last ones', () => {
    const log = newLog();
    for (let line = 0; line < 100; line += 1) log.append(`line ${line}`);
    const { head, tail, total, dropped } = log.summary();
    expect(head).toEqual(['line 0', 'line 1', 'line 2', 'line 3', 'line 4']);
    expect(tail).toHaveLength(15);
    expect(tail.at(-1)).toBe('line 99');
    expect({ total, dropped }).toEqual({ total: 100, dropped: 0 });
  });

  it('keeps no more than the status shows, however long the lines are', () => {
    const log = newLog();
    for (let line = 0; line < 500; line += 1) log.append('y'.repeat(20_000));
    const { head, tail, total } = log.summary();
    expect(total).toBe(500);
    expect([head.length, tail.length]).toEqual([limits.logHeadLines, limits.logTailLines]);
    for (const line of [...head, ...tail]) expect(line.length).toBeLessThanOrEqual(limits.statusLineChars);
  });

  it('tells how much of a long line it shows', () => {
    const log = newLog();
    log.append(`${'x'.repeat(231)}\u{1f600}${'y'.repeat(100)}`);
    const [shown = ''] = log.summary().head;
    expect(shown).toBe(`${'x'.repeat(231)}… (102 more)`);
    expect(shown.isWellFormed()).toBe(true);
  });

  it('numbers the lines of each boot, also after an earlier agent', () => {
    const log = new GuestLog(3, empty);
    log.continueAfter({ boot: 3, sequence: 41 });
    expect(log.append('a')).toEqual({ boot: 3, sequence: 42, text: 'a' });
    expect(log.now).toEqual({ boot: 3, lines: 43 });
    log.beginBoot(4);
    expect(log.append('b')).toEqual({ boot: 4, sequence: 0, text: 'b' });
    expect(log.summary()).toEqual({ head: ['b'], tail: [], total: 1, dropped: 0 });
  });
});

describe('what a guest says', () => {
  it('is news for the status while its first lines come in, and no longer', () => {
    const lines: string[] = [];
    let news = 0;
    const log = new MachineLog({
      uid: 'u',
      log: newLog(),
      sink: sinkInto(lines),
      output: undefined,
      headChanged: () => {
        news += 1;
      },
    });
    log.tellLines(['1', '2']);
    log.tellLines([]);
    log.tellLines(['3']);
    expect(news).toBe(2);
    log.tellLines(['4', '5', '6', '7']);
    expect(news).toBe(3);
    for (let line = 0; line < 100; line += 1) log.tellLines(['more']);
    expect(news).toBe(3);
    expect(lines.slice(0, 7)).toEqual(['1.0 1', '1.1 2', '1.2 3', '1.3 4', '1.4 5', '1.5 6', '1.6 7']);
    expect(lines).toHaveLength(107);
  });
});

function sinkInto(lines: string[]): GuestLogSink {
  return {
    append: (line) => void lines.push(line),
    flush: () => Promise.resolve(),
    lastPosition: () => Promise.resolve(undefined),
    numbers: { oldest: 0, newest: 0 },
    openNumber: () => Promise.resolve(undefined),
    onWritten: () => () => undefined,
  };
}
