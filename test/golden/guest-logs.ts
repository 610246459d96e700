// Runs the log parser on golden streams (README.md, guest-logs.json): `node test/golden/guest-logs.ts FILE…`.
// This project resynchronises where the original gave up, so a case that stops at its first error is compared up to it.
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { z } from 'zod';
import { readMembers } from '../../agent/guest/log/json-members.ts';
import { type GuestLogEnd, GuestLogParser } from '../../agent/guest/log/parser.ts';

// Fields are compared as they were read: they may nest deeper than a schema can follow, and have a member `__proto__`.
const record = z.object({ level: z.string(), message: z.string(), fields: z.custom<object>(isObject) });
type Record = z.infer<typeof record>;

const goldenCase = z.object({
  name: z.string(),
  text: z.string().optional(),
  chunks: z.array(z.string()).optional(),
  vmId: z.string().default('vm-1'),
  end: z.string().default('eof'),
  expect: z.array(record),
  expectLater: z.array(record).optional(),
  stopsAtFirstError: z.boolean().default(false),
  errorAt: z.object({ recordsBefore: z.int() }).optional(),
});
export type GuestLogCase = z.infer<typeof goldenCase>;

export function readCases(file: string): GuestLogCase[] {
  // A name that is written with escapes must be read as what it is, and `JSON.parse` does not always.
  const [[, cases] = []] = readMembers(`{"cases":${readFileSync(file, 'utf8')}}`);
  return z.array(goldenCase).parse(cases);
}

/** What differs, or undefined. */
export function difference(testCase: GuestLogCase): string | undefined {
  const parser = new GuestLogParser({ vmId: testCase.vmId });
  const chunks = testCase.chunks?.map((piece) => Buffer.from(piece, 'base64')) ?? [Buffer.from(testCase.text ?? '')];
  const records = chunks.flatMap((chunk) => parser.push(chunk)).concat(parser.end(readEnd(testCase.end)));
  const upTo = testCase.stopsAtFirstError ? testCase.errorAt?.recordsBefore : undefined;
  const expected = (testCase.expectLater ?? testCase.expect).slice(0, upTo).map(withoutOwnWording);
  const actual = records.slice(0, upTo).map(withoutOwnWording);
  if (isSameJson(actual, expected)) return undefined;
  return `expected ${inspect(expected, shown)}\n  actual ${inspect(actual, shown)}`;
}

const shown = { depth: 20, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: null, maxStringLength: 2000 };

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Equal to the letter, with its own stack; there is but one zero in JSON as most programs write it. */
export function isSameJson(one: unknown, other: unknown): boolean {
  const pairs: [unknown, unknown][] = [[one, other]];
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    if (pair[0] === pair[1]) continue;
    const inner = memberPairs(...pair);
    if (inner === undefined) return false;
    pairs.push(...inner);
  }
  return true;
}

/** What two lists or two objects hold in the same places, or undefined when they hold it in different ones. */
function memberPairs(left: unknown, right: unknown): [unknown, unknown][] | undefined {
  if (!isObject(left) || !isObject(right) || Array.isArray(left) !== Array.isArray(right)) return undefined;
  const members = new Map<string, unknown>(Object.entries(right));
  const entries = Object.entries(left);
  if (members.size !== entries.length || entries.some(([name]) => !members.has(name))) return undefined;
  return entries.map(([name, value]) => [value, members.get(name)]);
}

function readEnd(text: string): GuestLogEnd {
  if (text === 'eof') return { kind: 'eof' };
  if (text === 'reset' || text === 'aborted') return { kind: 'disconnected' };
  return { kind: 'failed', message: text.replace(/^error:/, '') };
}

/** The cause in a "gcs log read" record is in the words of the original's library. */
function withoutOwnWording({ level, message, fields }: Record): Record {
  return { level, message, fields: message === 'gcs log read' ? { ...fields, error: '' } : fields };
}

function main(files: readonly string[]): void {
  let passed = 0;
  let failed = 0;
  for (const testCase of files.flatMap(readCases)) {
    const found = difference(testCase);
    if (found === undefined) passed += 1;
    else {
      failed += 1;
      process.stdout.write(`FAILED ${testCase.name}\n  ${found}\n`);
    }
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.main) main(process.argv.slice(2));
