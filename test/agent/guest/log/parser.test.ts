import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logLine } from '../../../../agent/guest/log/line.ts';
import { type GuestLogOptions, GuestLogParser } from '../../../../agent/guest/log/parser.ts';
import type { GuestLogRecord } from '../../../../agent/guest/log/record.ts';
import { readGuestLog } from '../../../../agent/guest/log/stream.ts';
import { normaliseTime } from '../../../../agent/guest/log/time.ts';
import { difference, readCases } from '../../../golden/guest-logs.ts';

const golden = readCases(new URL('../../../golden/guest-logs.json', import.meta.url).pathname);

function parse(bytes: Uint8Array, cuts: readonly number[] = [], options: Partial<GuestLogOptions> = {}) {
  const parser = new GuestLogParser({ vmId: 'vm-1', ...options });
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const records: GuestLogRecord[] = [];
  for (const [index, place] of places.entries()) records.push(...parser.push(bytes.subarray(places[index - 1], place)));
  records.push(...parser.end({ kind: 'eof' }));
  return { records, counts: parser.counts };
}

function messages(text: string, options: Partial<GuestLogOptions> = {}): string[] {
  return parse(Buffer.from(text), [], options).records.map(
    ({ message, fields }) => `${message}${'stderr' in fields ? ` <${fields['stderr']}>` : ''}`,
  );
}

describe('the guest log', () => {
  it.each(golden.map((testCase) => [testCase.name, testCase] as const))(
    'reads as in the original: %s',
    (_, testCase) => {
      expect(difference(testCase)).toBeUndefined();
    },
  );

  it.each([
    ['a line of text', '{"msg":"a"}\noops\n{"msg":"b"}\n', ['a', 'gcs terminated <oops>', 'b']],
    ['text behind a record', '{"msg":"a"} oops\n{"msg":"b"}\n', ['a', 'gcs terminated <oops>', 'b']],
    ['several lines of text', 'x\n\ny: 1\n{"msg":"b"}\n', ['gcs terminated <x\n\ny: 1>', 'b']],
    [
      'a record cut off by the next',
      '{"msg":"cu{"msg":"b"}\n{"msg":"c"}\n',
      ['gcs terminated <{"msg":"cu{"msg":"b"}>', 'c'],
    ],
    ['a record cut off at a line end', '{"msg":"cut\n{"msg":"b"}\n', ['gcs terminated <{"msg":"cut>', 'b']],
    ['an object never closed', '{"msg":"a"\n{"msg":"b"}\n', ['gcs terminated <{"msg":"a">', 'b']],
    ['an open brace', '{\n{"msg":"b"}\n', ['gcs terminated <{>', 'b']],
    ['a value that is no record', '5\n{"msg":"b"}\n', ['gcs log read <5>', 'b']],
    ['an unknown level', '{"level":"x"}{"msg":"b"}\n', ['gcs log read <{"level":"x"}>', 'b']],
    ['a number at the end', '5', ['gcs log read <5>']],
    ['white space that JSON has not', '\f\n{"msg":"b"}\n', ['gcs terminated <\f>', 'b']],
  ])('continues after %s', (_, text, expected) => {
    expect(messages(text)).toEqual(expected);
  });

  // Each record is what the original gives. The original sees the end of a scalar only in the byte that follows it.
  it.each([
    ['null', 'null', ['null']],
    ['null, of which no more can follow', 'null\n', ['']],
    ['a text', '"a"', ['"a"']],
    [
      'bytes that are no characters',
      Buffer.from('{"a\xe2\x80\xff\xe2\x80', 'latin1'),
      ['{"a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}'],
    ],
    ['a character in two', Buffer.from('{"\xe2\x82\xac', 'latin1'), ['{"\u20ac']],
    ['white space of other kinds', '{"a\u{a0}\u{85}\u{2028}\f', ['{"a']],
  ])('keeps what a broken connection leaves of %s', (_, text, expected) => {
    const parser = new GuestLogParser({ vmId: 'vm-1' });
    const bytes = Buffer.from(text);
    const records = [...bytes].flatMap((byte) => parser.push(Buffer.of(byte)));
    records.push(...parser.end({ kind: 'disconnected' }));
    expect(records.map(({ message, fields }) => fields['stderr'] ?? message)).toEqual(expected);
  });

  it('bounds a value, and continues with the next line', () => {
    const long = `{"msg":"${'x'.repeat(500)}"}`;
    const found = messages(`${long}\n{"msg":"b"}\n`, { maxValueBytes: 100 });
    expect(found).toEqual([`gcs terminated <${long}>`, 'b']);
  });

  it('bounds the nesting of a value, and reads up to that depth', () => {
    const nested = (depth: number) => Buffer.from(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}\n{"msg":"b"}\n`);
    expect(parse(nested(20_000)).records.map(({ message }) => message)).toEqual(['gcs terminated', 'b']);
    const [deepest] = parse(nested(9_999)).records;
    expect(deepest?.fields).toMatchObject({ 'uvm-id': 'vm-1' });
    expect(deepest === undefined ? '' : logLine(deepest)).toBe('info  a=[nested too deeply to be shown]');
  });

  it('cuts long text into bounded records and loses nothing', () => {
    const text = 'é'.repeat(300);
    const { records } = parse(Buffer.from(text), [], { maxTextBytes: 101 });
    expect(records.map(({ fields }) => fields['stderr']).join('')).toBe(text);
    expect(records.every(({ fields }) => Buffer.byteLength(String(fields['stderr'])) <= 103)).toBe(true);
  });

  it('handles repeated members, escaped names and lone surrogates', () => {
    const [record] = parse(Buffer.from('{"msg":"a","MSG":"b","m\\u0073g":"c","k":"\\ud800","k":1}\n')).records;
    expect(record).toMatchObject({ message: 'c', fields: { MSG: 'b', k: 1 } });
    const [nested] = parse(Buffer.from('{"msg":"\\ud800","o":{"a,b":["}",{"c":"\\u0041"}]},"z":{}}\n')).records;
    expect(nested).toMatchObject({ message: '\ufffd', fields: { o: { 'a,b': ['}', { c: 'A' }] }, z: {} } });
    expect(messages('{"msg":5,"msg":"a"}\n')).toEqual(['gcs log read <{"msg":5,"msg":"a"}>']);
  });

  it.each([
    ['a number beyond the floats that a later member replaces', '{"a":1e400,"a":1}'],
    ['one inside of a member', '{"o":{"a":[-1e400]}}'],
    ['one of many digits', `{"a":${'9'.repeat(309)}}`],
    ['a time that is written with an escape', '{"time":"2024-01-15T10:30:00\\u005a"}'],
  ])('refuses %s', (_, text) => {
    expect(messages(`${text}\n`)).toEqual([`gcs log read <${text}>`]);
  });

  it('lowers the letters of a level one by one, as the original does', () => {
    expect(parse(Buffer.from('{"level":"\u{130}NFO"}\n')).records).toMatchObject([{ level: 'info' }]);
  });

  it('gives the same result whatever names V8 has cached', () => {
    const text = '{"a":1,"\\\\":2,"o":{"a":1,"\\\\":2}}\n{"a":1,"\\u2028":2,"o":{"a":1,"\\u2028":2}}\n';
    const found = parse(Buffer.from(text)).records.map(({ fields }) => fields);
    expect(found).toMatchObject([
      { a: 1, '\\': 2, o: { a: 1, '\\': 2 } },
      { a: 1, '\u2028': 2, o: { a: 1, '\u2028': 2 } },
    ]);
  });
});

/** Streams that look like logs, with every kind of damage. */
const piece = fc.oneof(
  fc.constantFrom(
    '{"level":"info","msg":"m","time":"2024-01-15T10:30:00.5Z"}\n',
    '{"msg":"two"}{"msg":"objects"}\n',
    '{\n "msg":\n "lines"}\n',
    'panic: x\n',
    '\n',
    '{"msg":"cut',
    '[1,\n',
    '"',
    '}',
    'nul',
    '5 ',
    '-0.5e+1\n',
    '\\u0041',
    'é😀',
  ),
  fc.json().map((text) => `${text}\n`),
  fc.string({ unit: 'binary' }),
);
const stream = fc.oneof(
  fc.array(piece, { maxLength: 20 }).map((pieces) => Buffer.from(pieces.join(''))),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);
const cuts = fc.array(fc.nat({ max: 5000 }), { maxLength: 30 });
const small = { maxValueBytes: 60, maxTextBytes: 40 };

describe('any stream', () => {
  it('gives the same records however it is cut', () => {
    fc.assert(
      fc.property(stream, cuts, fc.boolean(), (bytes, places, isSmall) => {
        const options = isSmall ? small : {};
        expect(parse(bytes, places, options)).toEqual(parse(bytes, [], options));
      }),
      { numRuns: 1500 },
    );
  });

  it('gives the same records whether or not a line has the usual shape', () => {
    const scalar = fc.oneof(
      fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text)),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
      fc.constantFrom('true', 'null', '-0', '1e2', '"\\\\"', '"\\u0041\\""', '"2024-01-15T10:30:00.5Z"', '"warn"'),
    );
    const name = fc.oneof(fc.constantFrom('time', 'level', 'msg', 'Msg', 'k'), fc.string({ unit: 'grapheme-ascii' }));
    const lines = fc.array(fc.tuple(name, scalar), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lines, (members) => {
        const written = members.map(([each, value]) => `${JSON.stringify(each)}:${value}`).join(',');
        const usual = parse(Buffer.from(`{${written}}\n`)).records;
        const spaced = parse(Buffer.from(`{ ${written}}\n`)).records;
        const isRefused = usual.some(({ message }) => message === 'gcs log read');
        if (isRefused) expect(spaced.map(({ message }) => message)).toEqual(['gcs log read']);
        else expect(usual).toEqual(spaced);
      }),
      { numRuns: 1000 },
    );
  });

  it('counts what it keeps', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const bytes = Buffer.from(pieces.join(''));
        const { records, counts } = parse(bytes);
        expect(counts).toMatchObject({ bytes: bytes.length, records: records.length });
        expect(counts.undecodableBytes).toBeLessThanOrEqual(bytes.length);
        const kept = records.map(({ fields }) => fields['stderr'] ?? '').join('');
        const isText = (message: string) => message === 'gcs terminated' || message === 'gcs log read';
        if (!records.some(({ message }) => isText(message))) expect(kept).toBe('');
        expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(counts.undecodableBytes);
      }),
      { numRuns: 1000 },
    );
  });

  it('loses no character of text that is not a record', () => {
    const lines = fc.array(
      fc.string({ unit: 'grapheme' }).map((text) => `x${text}\n`),
      { minLength: 1, maxLength: 10 },
    );
    fc.assert(
      fc.property(lines, (texts) => {
        const { records, counts } = parse(Buffer.from(texts.join('')), [], small);
        const kept = records.map(({ fields }) => fields['stderr']).join('');
        const withoutSpace = (text: string) => text.replace(/\s/g, '');
        expect(withoutSpace(kept)).toBe(withoutSpace(texts.join('')));
        expect(counts.undecodableBytes).toBe(counts.bytes);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps bounded records', () => {
    fc.assert(
      fc.property(stream, (bytes) => {
        for (const { fields } of parse(bytes, [], small).records) {
          // A byte that is not valid UTF-8 becomes a character of three bytes.
          expect(Buffer.byteLength(String(fields['stderr'] ?? ''))).toBeLessThanOrEqual(3 * 60);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('times of the guest', () => {
  it.each([
    ['2024-01-15T10:30:00.120Z', '2024-01-15T10:30:00.12Z'],
    ['2024-01-15T1:30:00+00:00', '2024-01-15T01:30:00Z'],
    ['2024-01-15T10:30:00,1234567899-00:30', '2024-01-15T10:30:00.123456789-00:30'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00Z'],
    ['1900-02-29T00:00:00Z', undefined],
    ['2024-13-01T00:00:00Z', undefined],
    ['2024-01-00T00:00:00Z', undefined],
    ['2024-01-01T24:00:00Z', undefined],
    ['2024-01-01T00:00:00+25:00', undefined],
    ['2024-01-01T00:00:00.Z', undefined],
    ['2024-01-01T00:00:00', undefined],
  ])('%s is %s', (text, expected) => {
    expect(normaliseTime(text)).toBe(expected);
  });
});

describe('the log connection', () => {
  const line = '{"msg":"a"}\n';

  it('delivers and counts the records that it reads', async () => {
    const delivered: GuestLogRecord[] = [];
    const counts = await readGuestLog(
      Readable.from([Buffer.from(line), Buffer.from(line)]),
      { vmId: 'v' },
      (records) => {
        delivered.push(...records);
      },
    );
    expect(counts).toEqual({ bytes: 24, records: 2, undecodableBytes: 0 });
    expect(delivered).toHaveLength(2);
  });

  it('waits for its receiver', async () => {
    const source = new PassThrough();
    const gate = Promise.withResolvers<void>();
    let calls = 0;
    const deliver = () => {
      calls += 1;
      return gate.promise;
    };
    const done = readGuestLog(source, { vmId: 'v' }, deliver);
    source.write(line);
    source.write('{"msg":"b"}\n');
    source.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(1);
    gate.resolve();
    expect((await done).records).toBe(2);
  });

  it.each([
    ['ECONNRESET', ['a']],
    ['EIO', ['a', 'gcs log read']],
  ])('explains the error %s', async (code, expected) => {
    const source = new PassThrough();
    const delivered: string[] = [];
    const deliver = (records: readonly GuestLogRecord[]) => {
      delivered.push(...records.map(({ message }) => message));
      source.destroy(Object.assign(new Error('broken'), { code }));
    };
    const done = readGuestLog(source, { vmId: 'v' }, deliver);
    source.write(line);
    await done;
    expect(delivered).toEqual(expected);
  });
});
