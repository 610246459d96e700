import { describe, expect, it } from 'vitest';
import { GuestLogDestinations } from '../../../agent/guest-log/destinations.ts';
import { GuestLog } from '../../../agent/guest-log/log.ts';
import { GuestLogOutput } from '../../../agent/guest-log/output.ts';
import type { GuestLogSink } from '../../../agent/guest-log/sink.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { type GuestLogSummary, limits } from '../../../protocol/messages.ts';
import { type AgentCore, type CoreOptions, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { startNode } from '../../support/agent/simulated-node.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';

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

  it('says how much of a long line it shows', () => {
    const log = newLog();
    log.append(`${'x'.repeat(231)}\u{1f600}${'y'.repeat(100)}`);
    const [shown = ''] = log.summary().head;
    expect(shown).toBe(`${'x'.repeat(231)}… (102 more)`);
    expect(shown.isWellFormed()).toBe(true);
  });

  it('numbers the lines of each boot, continuing after an earlier agent', () => {
    const log = new GuestLog(3, empty);
    log.continueAfter({ boot: 3, sequence: 41 });
    expect(log.append('a')).toEqual({ boot: 3, sequence: 42, text: 'a' });
    expect(log.now).toEqual({ boot: 3, lines: 43 });
    log.beginBoot(4);
    expect(log.append('b')).toEqual({ boot: 4, sequence: 0, text: 'b' });
    expect(log.summary()).toEqual({ head: ['b'], tail: [], total: 1, dropped: 0 });
  });
});

describe('what a guest logs', () => {
  it('changes the status while its first lines arrive, and no longer', () => {
    const lines: string[] = [];
    let news = 0;
    const log = new GuestLogDestinations({
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

describe('the lines that the status counts as dropped', () => {
  /** The status after the guest wrote this many lines at once, and how many of them are in the file. */
  async function flooded(lines: number, options: CoreOptions): Promise<GuestLogSummary & { readonly kept: number }> {
    await using node = await startNode();
    await using core = await startCore(node, options);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    const before = core.observed(uid).guestLog.total;
    await node.control.writeLog(systemIdOf(uid), '{"level":"info","msg":"one of many"}\n', lines);
    const { guestLog } = await core.until(uid, 'the lines', (each) => each.guestLog.total >= before + lines);
    const positions = [...(await readBack(core)).matchAll(/^\d+\.(\d+) /gm)];
    // The guest can have written more in the meantime.
    const kept = positions.filter(([, sequence]) => Number(sequence) < guestLog.total).length;
    return { ...guestLog, kept };
  }

  async function readBack(core: AgentCore): Promise<string> {
    const access = core.supervisor.machine(uid)?.access;
    if (access === undefined) throw new Error('there is no VM');
    let text = '';
    for await (const block of access.readLog({ follow: false, previous: false }, new AbortController().signal)) {
      text += block.toString();
    }
    return text;
  }

  it('are none while the file has every line, even without an operator', async () => {
    const { dropped, kept, total } = await flooded(3000, {});
    expect(total).toBeGreaterThan(3000);
    expect({ dropped, kept }).toEqual({ dropped: 0, kept: total });
  });

  it('are those that the disk did not accept', async () => {
    const { dropped, kept, total } = await flooded(3000, { guestLogFile: { maxWaitingBytes: 4096 } });
    expect(dropped).toBeGreaterThan(1000);
    expect(kept).toBe(total - dropped);
  });

  it('are those that standard output did not accept', async () => {
    const written: string[] = [];
    const output = new GuestLogOutput({
      destination: { write: (text) => written.push(text) > 0, once: () => undefined },
      clock: new FakeClock(),
      rate: { recordsPerSecond: 1, burst: 1000 },
    });
    const openGuestOutput = (each: string, onDropped: (lines: number) => void) => output.writerOf(each, onDropped);
    const { dropped, kept, total } = await flooded(3000, { guestLog: { openGuestOutput } });
    expect(kept).toBe(total);
    expect(total - dropped).toBe(1000);
    expect(written.join('').match(/\n/g)).toHaveLength(1000);
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
