// Runs the log parser on golden streams (README.md, guest-logs.json): `node test/golden/guest-logs.ts FILE…`.
// This project resynchronises where the original gave up, so a case that stops at its first error is compared up to it.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type GuestLogEnd, GuestLogParser } from '../../agent/guest/logs.ts';

const record = z.object({ level: z.string(), message: z.string(), fields: z.record(z.string(), z.json()) });
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
  return z.array(goldenCase).parse(JSON.parse(readFileSync(file, 'utf8')));
}

/** What differs, or undefined. */
export function difference(testCase: GuestLogCase): string | undefined {
  const parser = new GuestLogParser({ vmId: testCase.vmId });
  const chunks = testCase.chunks?.map((piece) => Buffer.from(piece, 'base64')) ?? [Buffer.from(testCase.text ?? '')];
  const records = chunks.flatMap((chunk) => parser.push(chunk)).concat(parser.end(readEnd(testCase.end)));
  const upTo = testCase.stopsAtFirstError ? testCase.errorAt?.recordsBefore : undefined;
  const expected = (testCase.expectLater ?? testCase.expect).slice(0, upTo).map(withoutOwnWording);
  // Records are plain JSON; the round trip makes them comparable with what was read from a file.
  const actual = z
    .array(record)
    .parse(JSON.parse(JSON.stringify(records)))
    .slice(0, upTo)
    .map(withoutOwnWording);
  if (isDeepStrictEqual(actual, expected)) return undefined;
  return `expected ${JSON.stringify(expected)}\n  actual ${JSON.stringify(actual)}`;
}

function readEnd(text: string): GuestLogEnd {
  if (text === 'eof') return { kind: 'eof' };
  if (text === 'reset' || text === 'aborted') return { kind: 'disconnected' };
  return { kind: 'failed', message: text.replace(/^error:/, '') };
}

/** The cause in a "gcs log read" record is in the words of the original's library. */
function withoutOwnWording(entry: Record): Record {
  if (entry.message !== 'gcs log read') return entry;
  const { error: _, ...fields } = entry.fields;
  return { ...entry, fields };
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
