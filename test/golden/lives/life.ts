// One recorded life of the original (upstream-lives.md) and the reader of files of them: a JSON array, or one life a line.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { callArgs, isCallName } from './call-args.ts';

/** What is wrong with a file, and where: the file, the life and the field. */
export class LifeFormatError extends Error {
  override readonly name = 'LifeFormatError';
}

const hex = z.string().regex(/^0x[0-9a-f]{8}$/, 'must be 0x and eight lower-case hexadecimal digits');
const args = z.record(z.string(), z.unknown());

const setup = z.strictObject({
  by: z.literal('setup'),
  fails: z.string(),
  result: hex,
  when: z.enum(['call', 'operation']),
  /** Of the text of the call. */
  only: z.string().optional(),
  document: z.string().optional(),
});
export type Setup = z.infer<typeof setup>;

const callerCalls = z
  .strictObject({ by: z.literal('caller'), call: z.string(), args: args.default({}) })
  .superRefine(({ args: said, call }, context) => {
    // A call of another name fails its life, not the file.
    const parsed = isCallName(call) ? callArgs[call].safeParse(said) : undefined;
    for (const { message, path } of parsed?.error?.issues ?? []) {
      context.addIssue({ code: 'custom', path: ['args', ...path], message });
    }
  });
const failure = z.strictObject({
  code: hex.optional(),
  kind: z.string().optional(),
  exitCode: z.int().optional(),
});
const callerReturns = z.strictObject({
  by: z.literal('caller'),
  returned: z.string(),
  ok: z.boolean().optional(),
  hangs: z.literal(true).optional(),
  value: z.unknown().optional(),
  error: failure.optional(),
});
const callerGot = z.strictObject({ by: z.literal('caller'), got: args });
export type CallerCall = z.infer<typeof callerCalls>;
export type CallerReturn = z.infer<typeof callerReturns>;

const operation = z.strictObject({
  waited: z.union([z.string(), z.literal(false)]).optional(),
  result: hex.optional(),
  document: z.string().optional(),
  cancelled: z.boolean().optional(),
});
const hostCall = z.strictObject({
  by: z.literal('host'),
  call: z.string(),
  args: args.default({}),
  result: hex.optional(),
  operation: operation.optional(),
});
const frame = { frame: z.string(), type: hex, id: z.int(), payload: z.string() };
const hostFrame = z.strictObject({ by: z.literal('host'), ...frame });
export type HostCall = z.infer<typeof hostCall>;
export type HostFrame = z.infer<typeof hostFrame>;
export type HostStep = HostCall | HostFrame;

const guestCall = z.strictObject({
  by: z.literal('guest'),
  call: z.enum(['sends', 'ends', 'resets', 'dials', 'sendsBytes']),
  args: z.looseObject({
    port: z.int().optional(),
    text: z.string().optional(),
    hex: z
      .string()
      .regex(/^(?:[0-9a-f]{2})*$/i, 'must be hexadecimal')
      .optional(),
    accepted: z.boolean().optional(),
  }),
});
const guestFrame = z.strictObject({ by: z.literal('guest'), ...frame });
export type GuestCall = z.infer<typeof guestCall>;
export type GuestFrame = z.infer<typeof guestFrame>;

const hcsEvent = z.strictObject({ by: z.literal('hcs'), event: hex, data: z.string().nullable() });
export type HcsEvent = z.infer<typeof hcsEvent>;

export type Step =
  | Setup
  | CallerCall
  | CallerReturn
  | z.infer<typeof callerGot>
  | HostStep
  | GuestCall
  | GuestFrame
  | HcsEvent;

/** By whose doing it is, and the member that tells the kinds apart. */
const stepKinds: Readonly<Record<string, readonly (readonly [member: string, schema: z.ZodType<Step>])[]>> = {
  setup: [['fails', setup]],
  caller: [
    ['call', callerCalls],
    ['returned', callerReturns],
    ['got', callerGot],
  ],
  host: [
    ['call', hostCall],
    ['frame', hostFrame],
  ],
  guest: [
    ['call', guestCall],
    ['frame', guestFrame],
  ],
  hcs: [['event', hcsEvent]],
};

const step = z.looseObject({ by: z.string() }).transform((raw, context): Step => {
  const kinds = stepKinds[raw.by];
  const kind = kinds?.find(([member]) => member in raw);
  if (kind === undefined) {
    const expected = kinds === undefined ? Object.keys(stepKinds) : kinds.map(([member]) => `a member ${member}`);
    const path = kinds === undefined ? ['by'] : [];
    context.addIssue({ code: 'custom', path, message: `must be one of: ${expected.join(', ')}` });
    return z.NEVER;
  }
  const parsed = kind[1].safeParse(raw);
  if (parsed.success) return parsed.data;
  for (const { message, path } of parsed.error.issues) context.addIssue({ code: 'custom', path, message });
  return z.NEVER;
});

const pair = z.tuple([z.int().min(0), z.int().min(0)]);
const life = z
  .strictObject({
    name: z.string().min(1),
    api: z.literal('controller').optional(),
    options: args.default({}),
    files: z.record(z.string(), z.int().min(0)).default({}),
    texts: z.record(z.string(), z.string()).default({}),
    limit: z.strictObject({ create: z.int().min(1).optional(), start: z.int().min(1).optional() }).default({}),
    guest: z.string().optional(),
    runs: z.int().optional(),
    steps: z.array(step).min(1),
    unordered: z.array(pair).default([]),
  })
  .superRefine(({ steps, unordered }, context) => {
    for (const [index, each] of unordered.entries()) {
      if (each.some((place) => place >= steps.length))
        context.addIssue({ code: 'custom', path: ['unordered', index], message: `there are ${steps.length} steps` });
    }
  });
export type Life = z.infer<typeof life>;

/** Throws a `LifeFormatError`, also for a file that cannot be read. */
export function readLives(file: string): readonly Life[] {
  const lives = parseFile(file).map((raw, index) => readLife(file, raw, index));
  const names = new Set<string>();
  for (const { name } of lives) {
    if (names.has(name)) throw new LifeFormatError(`${file}: life '${name}', name: is there twice`);
    names.add(name);
  }
  return lives;
}

function parseFile(file: string): readonly unknown[] {
  try {
    const text = readFileSync(file, 'utf8');
    const isArray = text.trimStart().startsWith('[');
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return isArray ? z.array(z.unknown()).parse(JSON.parse(text)) : lines.map((line): unknown => JSON.parse(line));
  } catch (error) {
    throw new LifeFormatError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readLife(file: string, raw: unknown, index: number): Life {
  const parsed = life.safeParse(raw);
  if (parsed.success) return parsed.data;
  const named = z.object({ name: z.string() }).safeParse(raw);
  const which = named.success ? `'${named.data.name}'` : `number ${index + 1}`;
  const [first] = parsed.error.issues;
  const field = first === undefined || first.path.length === 0 ? 'the whole' : first.path.map(String).join('.');
  throw new LifeFormatError(`${file}: life ${which}, ${field}: ${first?.message ?? 'is not a life'}`);
}

export function isCall(each: Step): each is HostCall {
  return each.by === 'host' && 'call' in each;
}

export function isHost(each: Step): each is HostStep {
  return each.by === 'host';
}
