// Guest log lines on the agent's standard output: what a log collector reads, and what happens to too many lines.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { GuestLogRecord } from '../../../agent/guest/log/record.ts';
import { GuestLogOutput } from '../../../agent/guest-log/output.ts';
import { startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { startNode } from '../../support/agent/simulated-node.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';
import { until } from '../../support/until.ts';

const source = { namespace: 'team', name: 'vm', uid };
const logged = z.object({ source: z.literal('guest') });
const record = (message: string): GuestLogRecord => ({ level: 'info', message, fields: {} });

/** Accepts lines until it is told to be full. */
class Destination {
  readonly texts: string[] = [];
  isFull = false;
  #drained: (() => void)[] = [];

  write(text: string): boolean {
    this.texts.push(text);
    return !this.isFull;
  }

  once(_: 'drain', listener: () => void): void {
    this.#drained.push(listener);
  }

  drain(): void {
    this.isFull = false;
    for (const listener of this.#drained.splice(0)) listener();
  }

  entries(): unknown[] {
    const lines = this.texts.join('').split('\n');
    expect(lines.pop()).toBe('');
    return lines.map((line) => JSON.parse(line));
  }

  messages(): unknown[] {
    return this.entries().map((entry) => z.object({ msg: z.string() }).parse(entry).msg);
  }
}

describe('lines of guests on standard output', () => {
  it('contain no terminal control characters', () => {
    const destination = new Destination();
    const output = new GuestLogOutput({
      destination,
      clock: new FakeClock(),
      rate: { recordsPerSecond: 10, burst: 10 },
    });
    const hostile = '\u001b]0;x\u0007 \u009b2J \u202egnp.exe \u2029';
    output.writerOf(uid, () => {})([{ level: 'info', message: hostile, fields: { [hostile]: [hostile] } }], source);
    expect(destination.texts.join('')).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+\n$/u);
    expect(destination.entries()).toMatchObject([{ msg: hostile, fields: { [hostile]: [hostile] } }]);
  });

  it("are JSON with the VM, the time of the guest, and the guest's fields in a member of their own", async () => {
    const destination = new Destination();
    const clock = new FakeClock();
    const output = new GuestLogOutput({ destination, clock, rate: { recordsPerSecond: 1000, burst: 1000 } });
    await using node = await startNode();
    await using core = await startCore(node, {
      guestLog: { openGuestOutput: (each, onDropped) => output.writerOf(each, onDropped) },
    });
    await core.supervisor.assign(makeAssignment({ namespace: 'team', options: { ScrubLogs: true } }));
    const written =
      '{"level":"warning","msg":"hi","time":"2024-01-15T10:30:00.123456789Z","name":"x","password":"p"}\n';
    await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    await node.control.writeLog(`luvm-${uid}`, written);
    await until('the line', () => destination.messages().includes('hi'));
    expect(destination.entries()).toContainEqual({
      ...source,
      source: 'guest',
      guestTime: '2024-01-15T10:30:00.123456789Z',
      level: 'warning',
      msg: 'hi',
      fields: { name: 'x', password: '<scrubbed>' },
    });
  });

  it('are limited to the rate of each guest; only the guest over its limit gets a notice', () => {
    const destination = new Destination();
    const clock = new FakeClock();
    const output = new GuestLogOutput({ destination, clock, rate: { recordsPerSecond: 1, burst: 2 } });
    const lost: number[] = [];
    const writerOf = (guest: string) => output.writerOf(guest, (lines) => lost.push(lines));
    const [loud, quiet] = [writerOf('a'), writerOf('b')];
    for (let line = 0; line < 5; line += 1) loud([record(`loud ${line}`)], source);
    quiet([record('quiet')], { ...source, name: 'other' });
    clock.advance(1000);
    loud([record('again')], source);
    expect(destination.messages()).toEqual(['loud 0', 'loud 1', 'quiet', expect.stringContaining('too fast'), 'again']);
    expect(destination.entries()[3]).toMatchObject({ ...source, level: 'warning', fields: { dropped: 3 } });
    expect(lost).toEqual([1, 1, 1]);
    expect(output.dropped).toBe(0);
  });

  it('wait within bounds for a destination that accepts no more; lost lines are counted and reported', () => {
    const destination = new Destination();
    const rate = { recordsPerSecond: 1000, burst: 1000 };
    const output = new GuestLogOutput({ destination, clock: new FakeClock(), rate, maxWaiting: 600 });
    let lost = 0;
    const write = output.writerOf(uid, (count) => {
      lost += count;
    });
    destination.isFull = true;
    for (let line = 0; line < 20; line += 1) write([record(`line ${line}`)], source);
    expect(destination.texts).toHaveLength(1);
    const { dropped } = output;
    expect(dropped).toBeGreaterThan(0);
    expect(lost).toBe(dropped);
    destination.drain();
    const entries = destination.entries();
    expect(entries).toHaveLength(20 - dropped + 1);
    expect(entries.at(-1)).toEqual({
      source: 'agent',
      level: 'warning',
      msg: 'lines of guests are not written here: standard output did not take them',
      dropped,
    });
    write([record('after')], source);
    expect(destination.messages().at(-1)).toBe('after');
    expect(output.dropped).toBe(dropped);
  });
});

describe('standard output that nobody reads', () => {
  it('blocks nothing; once it is read, all kept lines arrive whole, and lost lines are reported', async () => {
    const program = fileURLToPath(new URL('../../support/agent/unread-output.ts', import.meta.url));
    const child = fork(program, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    const [told] = await once(child, 'message');
    const { dropped, lines } = z.object({ dropped: z.int(), lines: z.int(), milliseconds: z.number() }).parse(told);
    expect(dropped).toBeGreaterThan(0);
    if (child.stdout === null) throw new Error('the process has no standard output');
    const read = text(child.stdout);
    child.send('end');
    const entries = (await read)
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(entries.filter((entry) => logged.safeParse(entry).success)).toHaveLength(lines - dropped);
    expect(entries).toContainEqual(expect.objectContaining({ source: 'agent', dropped }));
  });
});

describe('a limit on what a guest may log', () => {
  it('drops lines beyond it, counts them in the status, and reports them in the log', async () => {
    await using node = await startNode();
    const guestLogRate = { recordsPerSecond: 1, burst: 50 };
    await using core = await startCore(node, { guestLog: { guestLogRate } });
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    await node.control.writeLog(`luvm-${uid}`, '{"level":"info","msg":"flood"}\n'.repeat(500));
    const { guestLog } = await core.until(uid, 'dropped', (each) => each.guestLog.dropped > 400);
    expect(guestLog.total).toBeLessThan(60);
  });
});
