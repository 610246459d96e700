import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GuestLog, queueLines } from '../../agent/guest-log.ts';
import { LogRelay } from '../../agent/log-relay.ts';
import type { LogsMessage } from '../../protocol/messages.ts';
import { FakeClock } from './guest/fake-clock.ts';

const empty = { head: [], tail: [], total: 0, dropped: 0 };
const uid = '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';
const newLog = () => new GuestLog(uid, 1, empty);

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

  it('drops the oldest lines when nobody takes them, and counts them', () => {
    const log = newLog();
    for (let line = 0; line < queueLines + 10; line += 1) log.append(`line ${line}`);
    expect(log.summary().dropped).toBe(10);
    expect(log.take(1)).toMatchObject({ first: 10, lines: ['line 10'], dropped: 10 });
  });

  it('tells how much of a long line it shows', () => {
    const log = newLog();
    log.append(`${'x'.repeat(231)}\u{1f600}${'y'.repeat(100)}`);
    const [shown = ''] = log.summary().head;
    expect(shown).toBe(`${'x'.repeat(231)}… (102 more)`);
    expect(shown.isWellFormed()).toBe(true);
  });

  it('begins a boot anew without losing what is still to be delivered', () => {
    const log = newLog();
    log.append('old');
    log.beginBoot(2);
    log.append('new');
    expect(log.take(10)).toMatchObject({ boot: 1, first: 0, lines: ['old'] });
    expect(log.take(10)).toMatchObject({ boot: 2, first: 0, lines: ['new'] });
  });
});

describe('the relay', () => {
  it('keeps to its window', () => {
    const sent: LogsMessage[] = [];
    const relay = new LogRelay(3, new FakeClock(), (message) => sent.push(message) > 0);
    const log = newLog();
    for (let line = 0; line < 5; line += 1) log.append(`line ${line}`);
    relay.offer(uid, log);
    expect(sent.flatMap(({ lines }) => lines)).toEqual(['line 0', 'line 1', 'line 2']);
    relay.acknowledged(uid, 1, 1);
    expect(sent.flatMap(({ lines }) => lines)).toHaveLength(5);
  });

  it('keeps to a pace, whatever the operator acknowledges', () => {
    const clock = new FakeClock();
    const log = newLog();
    let sent = 0;
    const relay: LogRelay = new LogRelay(2048, clock, ({ boot, first, lines }) => {
      sent += lines.length;
      queued.push(() => relay.acknowledged(uid, boot, first + lines.length - 1));
      return true;
    });
    const queued: (() => void)[] = [];
    const flood = () => {
      for (let line = 0; line < queueLines; line += 1) log.append('line');
      relay.offer(uid, log);
      for (let acknowledge = queued.shift(); acknowledge !== undefined; acknowledge = queued.shift()) acknowledge();
    };
    for (let round = 0; round < 100; round += 1) flood();
    const atFirst = sent;
    expect(atFirst).toBeLessThan(11_000);
    clock.advance(100);
    for (let round = 0; round < 10; round += 1) flood();
    expect(sent - atFirst).toBeGreaterThan(500);
    expect(sent - atFirst).toBeLessThan(2000);
  });

  it('gives the window of a forgotten VM to the others', () => {
    const sent: LogsMessage[] = [];
    const relay = new LogRelay(1, new FakeClock(), (message) => sent.push(message) > 0);
    const [first, second] = [newLog(), newLog()];
    first.append('first');
    second.append('second');
    relay.offer('a', first);
    relay.offer('b', second);
    expect(sent.flatMap(({ lines }) => lines)).toEqual(['first']);
    relay.forget('a');
    expect(sent.flatMap(({ lines }) => lines)).toEqual(['first', 'second']);
  });

  type Step = 'line' | 'boot' | 'acknowledge' | 'reconnect' | 'congest' | 'decongest';
  const steps = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constant<Step>('line') },
      { weight: 4, arbitrary: fc.constant<Step>('acknowledge') },
      fc.constantFrom<Step>('boot', 'reconnect', 'congest', 'decongest'),
    ),
    { maxLength: 300 },
  );

  it('delivers every line at least once in order, or counts it, whatever the connection does', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 8 }), (schedule, window) => {
        const log = newLog();
        let congested = false;
        let outstanding: LogsMessage[] = [];
        const received = new Map<string, string>();
        const connect = () =>
          new LogRelay(window, new FakeClock(), (message) => {
            if (congested) return false;
            outstanding.push(message);
            return true;
          });
        let relay = connect();
        let boot = 1;
        const written: string[] = [];
        const receive = () => {
          const message = outstanding.shift();
          if (message === undefined) return;
          for (const [index, line] of message.lines.entries())
            received.set(`${message.boot}/${message.first + index}`, line);
          relay.acknowledged(uid, message.boot, message.first + message.lines.length - 1);
        };
        const run: Readonly<Record<Step, () => void>> = {
          line: () => {
            written.push(`line ${written.length}`);
            log.append(`line ${written.length - 1}`);
            relay.offer(uid, log);
          },
          boot: () => {
            boot += 1;
            log.beginBoot(boot);
          },
          acknowledge: receive,
          reconnect: () => {
            outstanding = [];
            relay = connect();
            relay.offer(uid, log);
          },
          congest: () => {
            congested = true;
          },
          decongest: () => {
            congested = false;
            relay.offer(uid, log);
          },
        };
        for (const step of schedule) run[step]();
        run.decongest();
        for (let turn = 0; turn <= written.length; turn += 1) receive();
        expect([...received.values()].sort()).toEqual([...written].sort());
      }),
    );
  });
});
