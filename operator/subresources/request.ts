// Parses the target of a request to the aggregated API: the VM, the subresource and its query. The API server has
// authorised the path as written, so it is matched as written: nothing is decoded, cleaned or resolved first.
import { z } from 'zod';
import { streamLimits } from '../../protocol/streams/messages.ts';
import { parsePosition, type Subresource, subresourceRoot, subresources } from '../../protocol/subresources.ts';
import { beginning } from '../../runtime/beginning.ts';
import type { StreamRequest } from '../agents/session-streams.ts';
import { discoveryDocument } from './discovery.ts';
import { badRequest, type Refusal } from './refusal.ts';

export interface MachineRequest {
  readonly namespace: string;
  readonly name: string;
  readonly subresource: Subresource;
  readonly query: URLSearchParams;
}

export type Target =
  | { readonly kind: 'discovery'; readonly document: object }
  | { readonly kind: 'machine'; readonly request: MachineRequest };

const namespaceName = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const objectName = '[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?';
/** The path after the root of the API. */
const machinePath = new RegExp(
  `^/namespaces/(${namespaceName})/linuxutilityvms/(${objectName})/(${subresources.join('|')})$`,
);
/** Characters that a target may contain. A fragment has no meaning in a request. */
const targetText = /^[!"$-~]*$/;

/**
 * Undefined when nothing is served there.
 * @param target the target in the request line
 */
export function readTarget(target: string): Target | undefined {
  if (!targetText.test(target)) return undefined;
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const document = discoveryDocument(path);
  if (document !== undefined) return { kind: 'discovery', document };
  if (!path.startsWith(subresourceRoot)) return undefined;
  const [, namespace, name, last] = machinePath.exec(path.slice(subresourceRoot.length)) ?? [];
  const subresource = subresources.find((each) => each === last);
  if (namespace === undefined || name === undefined || subresource === undefined) return undefined;
  // Never throws: an invalid escape counts as text.
  const query = new URLSearchParams(mark === -1 ? '' : target.slice(mark + 1));
  return { kind: 'machine', request: { namespace, name, subresource, query } };
}

const flag = z
  .enum(['true', 'false', '1', '0', ''], { error: 'must be true or false' })
  .transform((text) => text !== 'false' && text !== '0');
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number of at most 15 digits')
  .transform(Number);
const sideRule = 'must be a whole number from 1 to 65535';
const side = z
  .string()
  .regex(/^\d{1,5}$/, sideRule)
  .transform(Number)
  .pipe(z.int().min(1, sideRule).max(0xffff, sideRule));

const logQuery = z.object({
  follow: flag.default(false),
  previous: flag.default(false),
  tailLines: wholeNumber.optional(),
  /** Each line starts with its position. */
  positions: flag.default(false),
  after: z
    .string()
    .transform((text, context) => {
      const position = parsePosition(text);
      if (position !== undefined) return position;
      context.addIssue({ code: 'custom', message: 'must be <boot>.<sequence>, as lines with positions begin' });
      return z.NEVER;
    })
    .optional(),
});
export type LogQuery = z.infer<typeof logQuery>;

const execQuery = z.object({
  command: z
    .array(z.string().max(streamLimits.argumentChars, `must have at most ${streamLimits.argumentChars} characters`))
    .min(1, 'must be given at least once')
    .max(streamLimits.arguments, `must be given at most ${streamLimits.arguments} times`),
  stdin: flag.default(false),
  stdout: flag.default(false),
  stderr: flag.default(false),
  tty: flag.default(false),
  height: side.optional(),
  width: side.optional(),
});

const mostPort = 0xffff_ffff;
const forwardQuery = z.object({
  /** A vsock port. The agent decides which ports can be reached. */
  port: wholeNumber.pipe(z.number().max(mostPort, `must be at most ${mostPort}`)),
});

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export function readLogQuery({ query }: MachineRequest): Read<LogQuery> {
  return read(logQuery, Object.fromEntries(query));
}

export function readExecQuery({ query }: MachineRequest, uid: string): Read<StreamRequest> {
  const parsed = read(execQuery, { ...Object.fromEntries(query), command: query.getAll('command') });
  if (!parsed.ok) return parsed;
  const { height, tty, width, ...rest } = parsed.value;
  // A guest ignores the size (hcs-runtime E.6), but a terminal needs one.
  const terminal = tty ? { height: height ?? 24, width: width ?? 80 } : undefined;
  return { ok: true, value: { type: 'exec', uid, ...rest, ...(terminal && { terminal }) } };
}

export function readForwardQuery({ query }: MachineRequest, uid: string): Read<StreamRequest> {
  const parsed = read(forwardQuery, Object.fromEntries(query));
  return parsed.ok ? { ok: true, value: { type: 'portForward', uid, ...parsed.value } } : parsed;
}

function read<T>(schema: z.ZodType<T>, query: object): Read<T> {
  const parsed = schema.safeParse(query, { reportInput: true });
  if (parsed.success) return { ok: true, value: parsed.data };
  const problems = parsed.error.issues.map((issue) => {
    const value = typeof issue.input === 'string' ? `Invalid value: ${JSON.stringify(clip(issue.input))}: ` : '';
    return `${issue.path.join('.')}: ${value}${issue.message}`;
  });
  return { ok: false, refusal: badRequest(beginning(`invalid query: ${problems.join('; ')}`, 1_024)) };
}

function clip(text: string): string {
  return text.length > 64 ? `${beginning(text, 64)}…` : text;
}
