// Makes the golden changes of a running VM and compares what host and guest are asked for, to the byte (README.md,
// hcs-modify.json): `node test/golden/hcs-modify.ts FILE…`. What this agent never asks for is left out, and named.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { GuestRefusal } from '../../agent/guest/bridge-errors.ts';
import { encodeHostJson } from '../../agent/guest/bridge-frames.ts';
import { modificationRequest } from '../../agent/guest/guest-modification.ts';
import type { ChangeTarget } from '../../agent/hcs/modify/document.ts';
import { parseExact } from './exact-json.ts';
import { changeOf } from './modify-operations.ts';

const step = z.object({ to: z.enum(['hcs', 'guest']), text: z.string() });
type Step = z.infer<typeof step>;

const modifyCase = z.object({
  name: z.string(),
  build: z.int(),
  guestConnection: z.string().optional(),
  input: z.looseObject({
    op: z.string(),
    guestFails: z.string().optional(),
    hostFails: z.boolean().optional(),
  }),
  granted: z.array(z.string()).optional(),
  document: z.string().optional(),
  steps: z.array(step).optional(),
  error: z.string().optional(),
});
export type ModifyCase = z.infer<typeof modifyCase>;

export function readModifyCases(file: string | URL): ModifyCase[] {
  return z.array(modifyCase).parse(parseExact(readFileSync(file, 'utf8')));
}

interface Outcome {
  readonly steps: readonly Step[];
  readonly error: string | undefined;
}

export function expectedOutcome({ document, error, steps }: ModifyCase): Outcome {
  const single: Step[] = document === undefined ? [] : [{ to: 'hcs', text: document }];
  return { steps: steps ?? single, error };
}

/** Undefined for a change that this agent never makes. */
export async function runModifyCase({ build, guestConnection, input }: ModifyCase): Promise<Outcome | undefined> {
  const change = guestConnection === 'internal' ? undefined : changeOf(input, build);
  if (change === undefined) return undefined;
  const steps: Step[] = [];
  const target: ChangeTarget = {
    async host(document) {
      steps.push({ to: 'hcs', text: document });
      if (input.hostFails === true) throw new Error('host says no');
    },
    async guest(modification) {
      steps.push({ to: 'guest', text: encodeHostJson(modificationRequest(modification)).trimEnd() });
      if (modification.resourceType === input.guestFails) throw new GuestRefusal(0x8000_4005, 'guest says no');
    },
  };
  const error = await change(target).then(
    () => undefined,
    (failure: Error) => failure.message,
  );
  return { steps, error };
}

async function main(files: readonly string[]): Promise<void> {
  const counts = { passed: 0, failed: 0 };
  const leftOut = new Map<string, number>();
  for (const testCase of files.flatMap((file) => readModifyCases(file))) {
    const got = await runModifyCase(testCase);
    const { op } = testCase.input;
    if (got === undefined) {
      leftOut.set(op, (leftOut.get(op) ?? 0) + 1);
      continue;
    }
    const [wanted, found] = [expectedOutcome(testCase), got].map((outcome) => JSON.stringify(outcome));
    counts[wanted === found ? 'passed' : 'failed'] += 1;
    if (wanted !== found) process.stdout.write(`FAILED ${testCase.name}\n  expected ${wanted}\n  got      ${found}\n`);
  }
  const names = [...leftOut].map(([op, count]) => `${op} (${count})`).join(', ');
  if (names !== '') process.stdout.write(`not covered: ${names}\n`);
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

if (import.meta.main) await main(process.argv.slice(2));
