// Many guests write the worst possible input at the same time: how much the agent reads from each before other work
// gets its turn. Time passes only when a slice is read, and other work runs only when the test lets it.
import { Readable } from 'node:stream';
import { setImmediate as settled } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { GuestLogParser } from '../../../../agent/guest/log/parser.ts';
import type { GuestLogRecord } from '../../../../agent/guest/log/record.ts';
import { readGuestLog } from '../../../../agent/guest/log/stream.ts';
import { LogTurns, loneSlice, sharedSlice } from '../../../../agent/guest/log/turns.ts';

/** The turns of an event loop, which the test controls. */
class Loop {
  now = 0;
  readonly turns: LogTurns;
  #next: (() => void)[] = [];

  constructor(heldBytes?: number) {
    const afterOthers = (run: () => void) => void this.#next.push(run);
    this.turns = new LogTurns({ afterOthers, now: () => this.now }, heldBytes);
  }

  /** Other work had its turn, so the logs continue. */
  async turn(): Promise<void> {
    const next = this.#next;
    this.#next = [];
    for (const run of next) run();
    // The data of this turn causes the requests for the next slices.
    for (let pass = 0; pass < 3; pass += 1) await settled();
  }
}

/** Writes the same bytes without end, as fast as they are read. */
class Flood extends Readable {
  readonly #block: Buffer;
  written = 0;

  constructor(unit: string | Buffer) {
    super({ highWaterMark: 16 * 1024 });
    this.#block = Buffer.alloc(64 * 1024, unit);
  }

  /** How many bytes were read from it. */
  get taken(): number {
    return this.written - this.readableLength;
  }

  override _read(): void {
    this.written += this.#block.length;
    this.push(this.#block);
  }
}

const line = '{"level":"info","msg":"m"}\n';

function read(loop: Loop, flood: Readable, deliver: (records: readonly GuestLogRecord[]) => void = () => undefined) {
  const reading = readGuestLog(flood, { vmId: 'v' }, deliver, loop.turns);
  return { end: () => void flood.destroy(), reading };
}

async function end(loop: Loop, readers: readonly ReturnType<typeof read>[]): Promise<void> {
  let isOver = false;
  for (const reader of readers) reader.end();
  const over = Promise.all(readers.map(({ reading }) => reading)).then(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 2_000 && !isOver; turn += 1) await loop.turn();
  await over;
}

describe('the logs of many guests', () => {
  it('are read in turn, one slice each, and other work runs in between', async () => {
    const loop = new Loop();
    // A slice takes half a millisecond, so four slices make a turn.
    const slow = () => {
      loop.now += 0.5;
    };
    const floods = Array.from({ length: 200 }, () => new Flood(line));
    const readers = floods.map((flood) => read(loop, flood, slow));
    await loop.turn();
    for (let turn = 0; turn < 150; turn += 1) {
      const before = floods.map(({ taken }) => taken);
      const start = loop.now;
      await loop.turn();
      const grown = floods.map(({ taken }, index) => taken - (before[index] ?? 0));
      expect(Math.max(...grown)).toBeLessThanOrEqual(sharedSlice.bytes);
      expect(loop.now - start).toBeLessThanOrEqual(2);
    }
    const slices = floods.map(({ taken }) => taken / sharedSlice.bytes);
    expect(Math.max(...slices) - Math.min(...slices)).toBeLessThanOrEqual(1);
    expect(Math.min(...slices)).toBeGreaterThanOrEqual(2);
    await end(loop, readers);
  });

  it('do not delay a guest whose log is short', async () => {
    const loop = new Loop();
    const slow = () => {
      loop.now += 2;
    };
    const readers = Array.from({ length: 8 }, () => read(loop, new Flood(line), slow));
    for (let turn = 0; turn < 20; turn += 1) await loop.turn();
    const delivered: string[] = [];
    const quiet = new Readable({ read() {} });
    readers.push(read(loop, quiet, (records) => delivered.push(...records.map(({ message }) => message))));
    quiet.push('{"msg":"boot"}\n');
    for (let turn = 0; turn < 10; turn += 1) await loop.turn();
    expect(delivered).toEqual(['boot']);
    await end(loop, readers);
  });

  it('are not read ahead of their turns: a guest waits, and nothing is lost', async () => {
    const loop = new Loop();
    const flood = new Flood(line);
    const reader = read(loop, flood);
    for (let pass = 0; pass < 50; pass += 1) await settled();
    // The first slice is read at once; the second one waits for its turn.
    expect(flood.taken).toBeLessThanOrEqual(2 * loneSlice.bytes);
    expect(flood.written).toBeLessThanOrEqual(flood.taken + flood.readableHighWaterMark + 64 * 1024);
    await end(loop, [reader]);
  });

  it.each([
    ['texts of two bytes', '""'],
    ['numbers', '1 '],
    ['lists', '[]'],
    ['empty objects', '{}\n'],
    ['objects that are not records', '{"level":1}\n'],
  ])('arrive in bounded numbers of records: %s', async (_, unit) => {
    const loop = new Loop();
    let most = 0;
    const flood = new Flood(unit);
    const reader = read(loop, flood, (records) => {
      most = Math.max(most, records.length);
    });
    for (let turn = 0; turn < 200; turn += 1) await loop.turn();
    expect(most).toBeGreaterThan(loneSlice.steps / 4);
    expect(most).toBeLessThanOrEqual(loneSlice.steps + 1);
    await end(loop, [reader]);
  });

  it('together hold no more than the shared bound in values whose end does not arrive', async () => {
    const budget = 1 << 20;
    const loop = new Loop(budget);
    const texts: number[] = [];
    const floods = Array.from({ length: 64 }, () => new Flood('[" x",\n'));
    const readers = floods.map((flood) =>
      read(loop, flood, (records) => texts.push(...records.map(({ fields }) => String(fields['stderr']).length))),
    );
    let most = 0;
    for (let turn = 0; turn < 20; turn += 1) {
      await loop.turn();
      most = Math.max(most, loop.turns.held.held);
    }
    expect(texts.length).toBeGreaterThan(64);
    // Each log can hold one slice in addition to the shared amount.
    expect(most).toBeGreaterThan(budget / 2);
    expect(most).toBeLessThanOrEqual(budget + floods.length * sharedSlice.bytes);
    await end(loop, readers);
    expect(loop.turns.held.held).toBe(0);
  });
});

describe('a log that is read in steps', () => {
  it('gives the same records as one that is read at once', () => {
    const bytes = Buffer.from(`${line}1 "" {}\n{\n{"a":\n1}x\n\n\0${line.repeat(3)}`.repeat(50));
    const whole = new GuestLogParser({ vmId: 'v' });
    const expected = [...whole.push(bytes), ...whole.end({ kind: 'eof' })];
    for (const steps of [1, 2, 7, 100]) {
      const parser = new GuestLogParser({ vmId: 'v' });
      const records: GuestLogRecord[] = [];
      parser.add(bytes);
      do records.push(...parser.next(steps));
      while (parser.isBehind);
      records.push(...parser.end({ kind: 'eof' }));
      expect(records).toEqual(expected);
    }
  });

  it('gives up an incomplete value without losing a byte', () => {
    const parser = new GuestLogParser({ vmId: 'v' });
    const records = [
      ...parser.push(Buffer.from('{"a":"\n\u00e9'.slice(0, 8))),
      ...parser.push(Buffer.from('{"msg":"cut')),
    ];
    records.push(...parser.giveUp(), ...parser.push(Buffer.from(` off"}\n${line}`)), ...parser.end({ kind: 'eof' }));
    expect(records.map(({ message, fields }) => fields['stderr'] ?? message)).toEqual([
      '{"a":"\n\u00e9{"msg":"cut',
      'off"}',
      'm',
    ]);
    expect(parser.heldBytes).toBe(0);
  });
});

/**
 * Each input used to take 300 to 2,000 ms for 64 KiB, because each error was an exception. It now takes 10 ms on a
 * quiet machine.
 */
describe('a flood of the worst input', () => {
  it.each([
    ['open braces in lines', '{\n'],
    ['numbers', '1 '],
    ['texts', '"" '],
    ['texts without white space', '""'],
    ['objects whose escapes are wrong', '{"a":"\\x"}\n'],
    ['objects whose level is none', '{"level":1}\n'],
    ['numbers beyond the floats', '{"a":1e999}\n'],
    ['objects in lists', '{"a":[{}]}\n'],
    ['lists without end', '['],
    ['objects without end', '{"a":'],
    ['escapes without end', '\\u0041'],
    ['text without end', '{"a":"x'],
    ['bytes that are no characters', Buffer.from([0xff])],
    ['beginnings of characters', Buffer.from([0xe2, 0x82])],
    ['carriage returns', '\r'],
    ['NULs', '\0'],
    ['NULs in lines', '\0\n'],
    ['form feeds in lines', '\f\n'],
    ['line ends', '\n'],
    ['digits', '9'],
    ['letters in lines', 'x\n'],
    ['line separators', '\u2028'],
  ])('is read at a bounded cost: %s', (_, unit) => {
    const bytes = Buffer.alloc(1 << 17, unit);
    const parser = new GuestLogParser({ vmId: 'v' });
    const before = process.cpuUsage();
    for (let start = 0; start < bytes.length; start += sharedSlice.bytes)
      parser.push(bytes.subarray(start, start + sharedSlice.bytes));
    parser.end({ kind: 'eof' });
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1_000);
  });
});
