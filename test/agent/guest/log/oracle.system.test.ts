import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { GuestLogParser } from '../../../../agent/guest/log/parser.ts';
import type { GuestLogRecord } from '../../../../agent/guest/log/record.ts';
import { isSameJson } from '../../../golden/guest-logs.ts';

const sources = fileURLToPath(new URL('../../../golden/log-oracle/', import.meta.url));
const answer = z.object({ records: z.array(z.unknown()), complete: z.boolean() });

let folder: string;
let oracle: ChildProcess;
let answers: AsyncIterator<string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'oracle-'));
  const program = join(folder, 'oracle');
  const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' };
  execFileSync('go', ['build', '-o', program, '.'], { cwd: sources, env });
  oracle = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  if (oracle.stdout === null) throw new Error('no output');
  answers = createInterface(oracle.stdout)[Symbol.asyncIterator]();
}, 120_000);

afterAll(async () => {
  oracle?.kill();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function ask(stream: Buffer): Promise<z.infer<typeof answer>> {
  oracle.stdin?.write(`${stream.toString('base64')}\n`);
  const next = await answers.next();
  return answer.parse(JSON.parse(next.value));
}

const quoted = (texts: readonly string[]) => texts.map((text) => `"${text}"`);
// No name is a backslash: `JSON.parse` would read the answers with other names.
const names = quoted([
  ...['time', 'level', 'msg', 'Time', 'LEVEL', 'Msg', 'm\u017fg', 'm\\u0073g', 'ti\\u006de', 'T\u0130ME', 'Source'],
  ...['message', 'Message', 'uvm-id', 'vm.time', 'k', '\\u2028', '\\n', '\\ud800', '', '0', '10', 'constructor'],
]);
const times = quoted([
  ...['2024-01-15T10:30:00.123456789Z', '2024-01-15T1:30:00Z', '2024-01-15T10:30:00,5Z', '2024-01-15T10:30:00.5+02:00'],
  ...['2024-01-15T10:30:00+24:60', '2024-01-15T10:30:00+23:61', '2024-02-30T00:00:00Z', '2024-02-29T23:59:59Z'],
  ...['2024-01-15T24:00:00Z', '2024-01-15T10:30:60Z', '2024-01-15T10:30:00.Z', '2024-01-15T10:30:00z', '2024-01-15'],
  ...['2024-01-15T10:30:00.1234567890123Z', '2024-01-15T10:30:00\\u005a', '2024-01-15T10:30:00-00:00', ''],
]);
const levels = quoted(['info', 'INFO', '\u0130nfo', 'warn', 'WARNING', 'panic', 'notice', '', ' info', '\\u0069nfo']);
const texts = quoted([
  'ETW',
  'x',
  '\\ud800',
  '\\ud83d\\ude00',
  'a\\\\',
  '\\"',
  '\u2028',
  '\u00e9\u{1f600}',
  ':1e400',
  '<b>',
]);
const numbers = [
  ...['0', '-0', '-0.0', '1e3', '1e400', '-1e400', '1e-400', '1.8e308', '9007199254740993', '9223372036854775807'],
  ...[
    '-9223372036854775809',
    '18446744073709551615',
    '1e21',
    '1e0400',
    '12345.6e304',
    '9'.repeat(309),
    '0.1',
    '2.50e1',
  ],
];
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(...texts, ...numbers, 'true', 'false', 'null'),
    fc.array(tie('any'), { maxLength: 3 }).map((items) => `[${items.join(', ')}]`),
    fc.array(fc.tuple(fc.constantFrom(...names), tie('any')), { maxLength: 3 }).map(written),
  ),
})).any;
const member = fc.oneof(
  fc.tuple(fc.constantFrom('"time"', '"Time"'), fc.constantFrom(...times)),
  fc.tuple(fc.constantFrom('"level"', '"LEVEL"'), fc.constantFrom(...levels)),
  fc.tuple(fc.constantFrom(...names), value),
);
const line = fc.array(member, { maxLength: 6 }).map(written);
const junk = fc.constantFrom(
  'panic: x',
  'null',
  '5',
  'true',
  '[1]',
  '{',
  '{"a":01}',
  'nullx',
  '-',
  '\ufeff',
  '{"a":1,}',
  '\f',
);
const separator = fc.constantFrom('\n', '\n', ' ', '', '\r\n');
const damage = fc.array(fc.tuple(fc.nat(), fc.constantFrom(0xff, 0xc3, 0xed, 0xa0, 0xf0, 0x22, 0x5c, 0x00, 0x7f)), {
  maxLength: 2,
});

function written(members: readonly (readonly [unknown, unknown])[]): string {
  return `{${members.map(([name, content]) => `${name}:${content}`).join(',')}}`;
}

const stream = fc
  .tuple(
    fc.array(fc.tuple(fc.oneof({ weight: 8, arbitrary: line }, junk), separator), { maxLength: 4 }),
    fc.option(damage, { freq: 5, nil: [] }),
  )
  .map(([pieces, places]) => {
    const bytes = Buffer.from(pieces.flat().join(''));
    for (const [place, byte] of places) if (bytes.length > 0) bytes[place % bytes.length] = byte;
    return bytes;
  });

function parse(bytes: Buffer, cut: number): readonly GuestLogRecord[] {
  const parser = new GuestLogParser({ vmId: 'vm-1' });
  const records: GuestLogRecord[] = [];
  for (let start = 0; start < bytes.length; start += cut)
    records.push(...parser.push(bytes.subarray(start, start + cut)));
  return [...records, ...parser.end({ kind: 'eof' })];
}

describe('any stream', () => {
  it('gives the records of the original up to the first value that the original cannot decode', async () => {
    await fc.assert(
      fc.asyncProperty(stream, fc.integer({ min: 1, max: 40 }), async (bytes, cut) => {
        const expected = await ask(bytes);
        const records = parse(bytes, cut);
        const compared = expected.complete ? records : records.slice(0, expected.records.length);
        if (!isSameJson(compared, expected.records)) expect(compared).toEqual(expected.records);
        const refused = records.slice(expected.records.length).map(({ message }) => message);
        if (!expected.complete && refused.length > 0) expect(refused[0]).toMatch(/^gcs (?:log read|terminated)$/);
      }),
      { numRuns: 3000 },
    );
  });
});
