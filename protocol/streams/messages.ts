// Streams of one VM over a session (design §7): its growing log, a process in the guest, its console, the document that
// it was created from, the stacks of its guest agent, its use of the host, a connection to a port of its guest. The operator opens each with an id of its
// choice. Data is base64 within JSON, or a binary frame (`frames.ts`) for a side that accepts those. A sender needs
// credit for each channel of a stream, and the data on the way in all streams of a session is bounded, so that no flood
// delays a control message. The operator opens streams only to an agent whose hello has the capability.
import { z } from 'zod';
import { boundedText, code } from '../bounded.ts';

/**
 * In `hello.capabilities`: this agent understands the messages below. To other agents an unknown message ends the
 * session.
 */
export const streamsCapability = 'streams.v1';

/** The same for `stacks` and `usage`, which came later. */
export const inspectionCapability = 'inspection.v1';

/** The same for `portForward`. Such an agent accepts stream data as binary frames, too. */
export const forwardingCapability = 'forwarding.v1';

/**
 * In `welcome.streamEncodings`: data may come as binary frames. A side that does not know them would end the session.
 */
export const binaryStreams = 'binary';

export const streamLimits = {
  perSession: 64,
  perVirtualMachine: 8,
  /** Bytes of one channel that its reader has not consumed yet. */
  windowBytes: 256 * 1024,
  /** The same for a log. Larger, because a log is bulk data: it is read on while a grant of credit is on its way. */
  logWindowBytes: 512 * 1024,
  /** Data bytes in one binary frame. */
  chunkBytes: 64 * 1024,
  /** Data bytes in one message, before base64. */
  textChunkBytes: 48 * 1024,
  /** Bytes sent in all streams of a session whose receipt has not come yet. */
  onTheWayBytes: 1 << 20,
  /** What each message counts for besides its data. */
  messageBytes: 256,
  /** A side sends a receipt each time this much has arrived. */
  receiptBytes: 128 * 1024,
  arguments: 1024,
  argumentChars: 32_768,
} as const;

/**
 * Bounds of forwarded connections, which are counted separately: a browser opens many of them, and none of them takes
 * the place of a log or a shell.
 */
export const forwardLimits = {
  perSession: 256,
  perVirtualMachine: 64,
  perUser: 128,
  /** As `streamLimits.windowBytes`. Smaller, because there may be many. */
  windowBytes: 64 * 1024,
} as const;

export const streamChannels = ['stdin', 'stdout', 'stderr'] as const;
export type StreamChannel = (typeof streamChannels)[number];

/** Why a stream was refused or ended early. */
export const streamProblems = [
  'NoSuchVirtualMachine',
  'NotRunning',
  'GuestNotConnected',
  'ExecNotAllowed',
  'NoConsole',
  'ConsoleInUse',
  'NoDocument',
  'NoLog',
  'NoStacks',
  'TooManyStreams',
  'TooManyConnections',
  'PortNotAllowed',
  'ForwardingNotAllowed',
  'ConnectionRefused',
  'ConnectionTimedOut',
  'ConnectionLost',
  'CommandFailed',
  'ExitCodeLost',
  'SessionLost',
  'Failed',
] as const;
export type StreamProblem = (typeof streamProblems)[number];

const uid = z.uuid();
const epoch = z.int().min(1);
const count = z.int().min(0);
const stream = z.int().min(1);
const channel = z.enum(streamChannels);
const window = z
  .int()
  .min(1024)
  .max(4 << 20);
const data = z.base64().max(Math.ceil(streamLimits.textChunkBytes / 3) * 4);
const side = z.int().min(1).max(0xffff);

/** Position of a line in a guest's log: the boot of the VM and the line's number in that boot. */
export const logPosition = z.object({ boot: count, sequence: count });
export type LogPosition = z.infer<typeof logPosition>;

const opening = { epoch, stream, uid, window };

/** Each line comes as `<boot>.<sequence> <text>`. */
const logFollow = z.object({
  type: z.literal('logFollow'),
  ...opening,
  /** Continues with new lines, also of later boots. */
  follow: z.boolean(),
  /** The boot before the latest one. */
  previous: z.boolean(),
  tailLines: count.optional(),
  /** Only lines after this one. */
  after: logPosition.optional(),
});

const exec = z.object({
  type: z.literal('exec'),
  ...opening,
  command: z.array(z.string().max(streamLimits.argumentChars)).min(1).max(streamLimits.arguments),
  stdin: z.boolean(),
  stdout: z.boolean(),
  stderr: z.boolean(),
  /** With a terminal, all output is on stdout. */
  terminal: z.object({ height: side, width: side }).optional(),
});

const console = z.object({ type: z.literal('console'), ...opening });
const document = z.object({ type: z.literal('document'), ...opening });
/** The stacks of all goroutines of the guest agent, as text. */
const stacks = z.object({ type: z.literal('stacks'), ...opening });
/** The use of the host, as JSON (`machineUsage`). */
const usage = z.object({ type: z.literal('usage'), ...opening });
/**
 * A connection to a vsock port of the guest: `stdin` carries what the user sends, `stdout` what the guest sends. Each
 * ends separately.
 */
const portForward = z.object({
  type: z.literal('portForward'),
  ...opening,
  port: z.int().min(0).max(0xffff_ffff),
});

const streamOpened = z.object({
  type: z.literal('streamOpened'),
  stream,
  window,
  /** ID of the process in the guest. */
  processID: count.optional(),
});
/** The agent's last message about a stream. The operator may have closed the stream before. */
const streamClosed = z.object({
  type: z.literal('streamClosed'),
  stream,
  exitCode: z.int().min(0).max(0xffff_ffff).optional(),
  /** One of `streamProblems`, or a problem of a later version. */
  problem: code.catch('Failed').optional(),
  message: boundedText(2048).optional(),
});
/** The reader has gone: the agent ends the stream. */
const streamClose = z.object({ type: z.literal('streamClose'), stream });

const streamData = z.object({ type: z.literal('streamData'), stream, channel, data });
/** This channel carries no more data. */
const streamEnd = z.object({ type: z.literal('streamEnd'), stream, channel });
/** The reader can take this many more bytes. */
const streamCredit = z.object({ type: z.literal('streamCredit'), stream, channel, bytes: z.int().min(1) });
/** This many bytes of all streams have arrived since the last receipt. */
const streamReceipt = z.object({ type: z.literal('streamReceipt'), bytes: z.int().min(1) });

export const streamOpening = z.discriminatedUnion('type', [
  logFollow,
  exec,
  console,
  document,
  stacks,
  usage,
  portForward,
]);
export type StreamOpening = z.infer<typeof streamOpening>;

const transport = [streamData, streamEnd, streamCredit, streamReceipt] as const;
export const streamTransport = z.discriminatedUnion('type', transport);
export type StreamTransport = z.infer<typeof streamTransport>;
export type StreamData = z.infer<typeof streamData>;
export type StreamOpened = z.infer<typeof streamOpened>;
export type StreamClosed = z.infer<typeof streamClosed>;

export const agentStreamMessages = [streamOpened, streamClosed, ...transport] as const;
export const operatorStreamMessages = [
  logFollow,
  exec,
  console,
  document,
  stacks,
  usage,
  portForward,
  streamClose,
  ...transport,
] as const;

/** The capability of the agents that understand the opening. */
export function neededCapability(type: StreamOpening['type']): string {
  if (type === 'portForward') return forwardingCapability;
  return type === 'stacks' || type === 'usage' ? inspectionCapability : streamsCapability;
}

/** The bounds of the streams that are counted together with this one. */
export function boundsOf(type: StreamOpening['type']): {
  readonly perSession: number;
  readonly perVirtualMachine: number;
  readonly windowBytes: number;
} {
  return type === 'portForward' ? forwardLimits : streamLimits;
}

interface CountedStream {
  readonly uid: string;
  readonly type: StreamOpening['type'];
}

/** Whether the host or the VM already has as many streams of this kind as it may have. */
export function hasTooMany(open: Iterable<CountedStream>, { type, uid }: CountedStream): boolean {
  const bounds = boundsOf(type);
  const counted = [...open].filter((each) => boundsOf(each.type) === bounds);
  return (
    counted.length >= bounds.perSession || counted.filter((each) => each.uid === uid).length >= bounds.perVirtualMachine
  );
}
export type AgentStreamMessage = StreamOpened | StreamClosed | StreamTransport;
export type OperatorStreamMessage = StreamOpening | z.infer<typeof streamClose> | StreamTransport;
