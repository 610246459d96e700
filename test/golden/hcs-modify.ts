// Makes the golden changes of a running VM and compares what host and guest are asked for, to the byte (README.md,
// hcs-modify.json): `node test/golden/hcs-modify.ts FILE…`.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { GuestRefusal } from '../../agent/guest/bridge/errors.ts';
import { encodeHostJson } from '../../agent/guest/bridge/frames.ts';
import { modificationRequest } from '../../agent/guest/bridge/guest-modification.ts';
import type { ChangeTarget, GuestRequestJson } from '../../agent/modification/document.ts';
import { parseExact } from './exact-json.ts';
import { type Ends, makeChange } from './modify-operations.ts';

const step = z.object({ to: z.enum(['hcs', 'guest']), text: z.string() });
type Step = z.infer<typeof step>;

const modifyCase = z.object({
  name: z.string(),
  build: z.int(),
  guestConnection: z.literal('internal').optional(),
  files: z.record(z.string(), z.union([z.int(), z.bigint().transform(Number)])).default({}),
  input: z.looseObject({
    op: z.string(),
    guestFails: z.string().optional(),
    hostFails: z.boolean().default(false),
  }),
  granted: z.array(z.string()).default([]),
  document: z.string().optional(),
  steps: z.array(step).optional(),
  error: z.string().optional(),
});
export type ModifyCase = z.infer<typeof modifyCase>;

export function readModifyCases(file: string | URL): ModifyCase[] {
  return z.array(modifyCase).parse(parseExact(readFileSync(file, 'utf8')));
}

interface Outcome {
  readonly granted: readonly string[];
  readonly steps: readonly Step[];
  /** The one document for the compute service, when there is just one. */
  readonly document: string | undefined;
  readonly error: string | undefined;
}

export function expectedOutcome({ document, error, granted, steps }: ModifyCase): Outcome {
  const single: Step[] = document === undefined ? [] : [{ to: 'hcs', text: document }];
  return { granted, steps: steps ?? single, document, error };
}

/** Two circumstances of Plan 9 shares are told by the case's name and not by its input. */
function circumstancesOf({ build, files, name }: ModifyCase) {
  return {
    build,
    refusesWritableShares: /writable shares denied/.test(name),
    fileSize(path: string): number {
      const size = files[path];
      if (size === undefined) throw new Error(`the case says nothing of ${path}`);
      return size;
    },
  };
}

function refusingGuestResource({ input, name }: ModifyCase): string | undefined {
  const isNamedOnly = input.op.startsWith('plan9') && /guest refuses/.test(name);
  return isNamedOnly ? 'MappedDirectory' : input.guestFails;
}

export async function runModifyCase(testCase: ModifyCase): Promise<Outcome> {
  const { guestConnection, input } = testCase;
  const granted: string[] = [];
  const steps: Step[] = [];
  const refusing = refusingGuestResource(testCase);
  const host = async (document: string) => {
    steps.push({ to: 'hcs', text: document });
    if (input.hostFails) throw new Error('host says no');
  };
  const askRaw = async (request: GuestRequestJson) => {
    steps.push({ to: 'guest', text: encodeHostJson(request).trimEnd() });
    if (refusing !== undefined && request['ResourceType'] === refusing) {
      throw new GuestRefusal(0x8000_4005, 'guest says no');
    }
  };
  const isInternal = guestConnection === 'internal';
  const target: ChangeTarget = isInternal
    ? { host, guestThroughHost: modificationRequest }
    : { host, guest: (modification) => askRaw(modificationRequest(modification)) };
  const ends: Ends = {
    ...target,
    raw: isInternal ? { host, guestThroughHost: (request) => request } : { host, guest: askRaw },
    grantAccess: (vmId, path) => granted.push(`${vmId}|${path}`),
  };
  const error = await makeChange(input, ends, circumstancesOf(testCase)).then(
    () => undefined,
    (failure: Error) => failure.message,
  );
  const documents = steps.filter(({ to }) => to === 'hcs');
  return { granted, steps, document: documents.length === 1 ? documents[0]?.text : undefined, error };
}

async function main(files: readonly string[]): Promise<void> {
  const counts = { passed: 0, failed: 0 };
  for (const testCase of files.flatMap((file) => readModifyCases(file))) {
    const [wanted, found] = [expectedOutcome(testCase), await runModifyCase(testCase)].map((each) =>
      JSON.stringify(each),
    );
    counts[wanted === found ? 'passed' : 'failed'] += 1;
    if (wanted !== found) process.stdout.write(`FAILED ${testCase.name}\n  expected ${wanted}\n  got      ${found}\n`);
  }
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

if (import.meta.main) await main(process.argv.slice(2));
