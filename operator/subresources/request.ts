// Reads a request of the aggregated API: which VM, which subresource, and its query.
import { z } from 'zod';
import { streamLimits } from '../../protocol/stream-messages.ts';
import { parsePosition, type Subresource, subresourceRoot, subresources } from '../../protocol/subresources.ts';
import type { StreamRequest } from '../agents/session-streams.ts';
import { badRequest, type Refusal } from './refusal.ts';

export interface MachineRequest {
  readonly namespace: string;
  readonly name: string;
  readonly subresource: Subresource;
  readonly query: URLSearchParams;
}

const label = '[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?';
const pathPattern = new RegExp(
  `^${subresourceRoot}/namespaces/(${label})/linuxutilityvms/(${label})/(${subresources.join('|')})$`,
);

/** Undefined when the path is none of ours. */
export function readMachineRequest(url: URL): MachineRequest | undefined {
  const [, namespace, name, last] = pathPattern.exec(url.pathname) ?? [];
  const subresource = subresources.find((each) => each === last);
  if (namespace === undefined || name === undefined || subresource === undefined) return undefined;
  return { namespace, name, subresource, query: url.searchParams };
}

const flag = z.enum(['true', 'false', '1', '0', '']).transform((text) => text !== 'false' && text !== '0');
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number')
  .transform(Number);
const side = wholeNumber.pipe(z.int().min(1).max(0xffff));

const logQuery = z.object({
  follow: flag.default(false),
  previous: flag.default(false),
  tailLines: wholeNumber.optional(),
  /** Each line is to begin with its position. */
  positions: flag.default(false),
  after: z
    .string()
    .transform((text, context) => {
      const position = parsePosition(text);
      if (position !== undefined) return position;
      context.addIssue({ code: 'custom', message: 'must be <boot>.<sequence>' });
      return z.NEVER;
    })
    .optional(),
});
export type LogQuery = z.infer<typeof logQuery>;

const execQuery = z.object({
  command: z.array(z.string().max(streamLimits.argumentChars)).min(1).max(streamLimits.arguments),
  stdin: flag.default(false),
  stdout: flag.default(false),
  stderr: flag.default(false),
  tty: flag.default(false),
  height: side.optional(),
  width: side.optional(),
});

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export function readLogQuery({ query }: MachineRequest): Read<LogQuery> {
  return read(logQuery, Object.fromEntries(query));
}

export function readExecQuery({ query }: MachineRequest, uid: string): Read<StreamRequest> {
  const parsed = read(execQuery, { ...Object.fromEntries(query), command: query.getAll('command') });
  if (!parsed.ok) return parsed;
  const { height, tty, width, ...rest } = parsed.value;
  // A guest ignores the size (hcs-runtime E.6), but a terminal has one.
  const terminal = tty ? { height: height ?? 24, width: width ?? 80 } : undefined;
  return { ok: true, value: { type: 'exec', uid, ...rest, ...(terminal && { terminal }) } };
}

function read<T>(schema: z.ZodType<T>, query: object): Read<T> {
  const parsed = schema.safeParse(query);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, refusal: badRequest(z.prettifyError(parsed.error).slice(0, 1024)) };
}
