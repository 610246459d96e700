// What the server (the operator) and the client (`kubectl luvm`) of the aggregated API `subresources.lcow.dev/v1alpha1`
// share: paths, the rights that each needs, and the small protocol over WebSockets for streams in both directions.
import { z } from 'zod';
import { type LogPosition, streamProblems } from './streams/messages.ts';

export const subresourceGroup = 'subresources.lcow.dev';
export const subresourceVersion = 'v1alpha1';
export const subresourceRoot = `/apis/${subresourceGroup}/${subresourceVersion}`;

export const subresources = ['log', 'exec', 'console', 'document', 'stacks', 'usage', 'portforward'] as const;
export type Subresource = (typeof subresources)[number];

/**
 * The verb that a user needs on each subresource. The API server itself checks only `get`, because every request is a
 * GET, a WebSocket included. A subresource that starts or changes something also needs `create`, which the operator
 * checks with a SubjectAccessReview.
 */
export const subresourceVerbs: Readonly<Record<Subresource, SubresourceVerb>> = {
  log: 'get',
  exec: 'create',
  console: 'create',
  document: 'get',
  stacks: 'get',
  usage: 'get',
  portforward: 'create',
};
export type SubresourceVerb = 'get' | 'create';

/** Those that are served over a WebSocket. */
export const channelSubresources = ['exec', 'console', 'portforward'] as const;
export type ChannelSubresource = (typeof channelSubresources)[number];

export function isChannelSubresource(subresource: Subresource): subresource is ChannelSubresource {
  return channelSubresources.some((each) => each === subresource);
}

/** All verbs that a role needs for the subresource. */
export function verbsOf(subresource: Subresource): readonly SubresourceVerb[] {
  return subresourceVerbs[subresource] === 'get' ? ['get'] : ['create', 'get'];
}

export function subresourcePath(namespace: string, name: string, subresource: Subresource): string {
  const [inNamespace, machine] = [namespace, name].map(pathSegment);
  return `${subresourceRoot}/namespaces/${inNamespace}/linuxutilityvms/${machine}/${subresource}`;
}

/**
 * A name as one segment of a path. `encodeURIComponent` leaves `.` and `..` unchanged, which would lead to another
 * path.
 */
export function pathSegment(name: string): string {
  if (name === '' || name === '.' || name === '..') throw new Error(`"${name}" is not the name of an object`);
  return encodeURIComponent(name);
}

/** The answer of `usage`, as JSON. What is not known is absent. */
export const machineUsage = z.object({
  /** When the host measured, in milliseconds since the Unix epoch. */
  time: z.number().min(0),
  /** Processor time since the start of the VM. */
  processorSeconds: z.number().min(0).optional(),
  /** Memory that the host currently provides to the VM. */
  assignedMemoryBytes: z.number().min(0).optional(),
  /** The run, and the lines that its guest has written so far. */
  log: z.object({ boot: z.int().min(0), lines: z.int().min(0) }),
});
export type MachineUsage = z.infer<typeof machineUsage>;

/**
 * Subprotocol of the WebSockets of `exec`, `console` and `portforward`: binary messages whose first byte is the channel.
 * A message on `close` names a channel that carries no more data: `stdin` by the client, and of a forwarded connection
 * also `stdout` by the server.
 */
export const channelSubprotocol = 'v1.channel.lcow.dev';
export const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const;

/** The server's messages on the channel `status`, as JSON. The last one of a connection is `exited` or `failed`. */
export const statusMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('started'), processID: z.int().min(0).optional() }),
  /** The server refused a request. The stream goes on. */
  z.object({ type: z.literal('refused'), message: z.string() }),
  z.object({ type: z.literal('exited'), exitCode: z.int().min(0).optional() }),
  z.object({ type: z.literal('failed'), problem: z.enum(streamProblems).or(z.string()), message: z.string() }),
]);
export type StatusMessage = z.infer<typeof statusMessage>;

/** The shape of the API server's own error answers. */
export const apiStatus = z.looseObject({
  kind: z.literal('Status'),
  reason: z.string().default(''),
  message: z.string().default(''),
  code: z.number().default(0),
});

const positionText = /^(\d{1,15})\.(\d{1,15})$/;

export function formatPosition({ boot, sequence }: LogPosition): string {
  return `${boot}.${sequence}`;
}

export function parsePosition(text: string): LogPosition | undefined {
  const match = positionText.exec(text);
  return match === null ? undefined : { boot: Number(match[1]), sequence: Number(match[2]) };
}
