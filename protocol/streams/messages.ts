// Streams of one VM over a session (design §7): its log as it grows, a process in the guest, its console, the document
// that it was made of. The operator opens them, with an id of its own. Data is base64 within JSON, or a binary frame
// (`frames.ts`) for a side that says that it takes those.
// Whoever sends needs credit for each channel of a stream, and what all streams of a session have on the way is bounded,
// so that no flood holds up a control message. Only an agent that says so in its hello is asked for any.
import { z } from 'zod';
import { boundedText, code } from '../bounded.ts';

/** In `hello.capabilities`: this agent understands the messages below. An unknown message would end its session. */
export const streamsCapability = 'streams.v1';

/** In `welcome.streamEncodings`: data may come as binary frames. A side that does not know them would end the session. */
export const binaryStreams = 'binary';

export const streamLimits = {
  perSession: 64,
  perVirtualMachine: 8,
  /** Bytes of one channel that its reader has not taken yet. */
  windowBytes: 256 * 1024,
  /** The same for a log, which nobody types: what is read while the word of it is on its way. */
  logWindowBytes: 512 * 1024,
  /** Bytes in one message. */
  chunkBytes: 64 * 1024,
  /** Bytes in one message in base64. */
  textChunkBytes: 48 * 1024,
  /** Bytes of all streams of a session that were sent and have not arrived yet. */
  onTheWayBytes: 1 << 20,
  /** What a message counts for besides its bytes. */
  messageBytes: 256,
  /** The other side says so often what arrived. */
  receiptBytes: 128 * 1024,
  arguments: 1024,
  argumentChars: 32_768,
} as const;

export const streamChannels = ['stdin', 'stdout', 'stderr'] as const;
export type StreamChannel = (typeof streamChannels)[number];

/** Why a stream was refused, or ended before its time. */
export const streamProblems = [
  'NoSuchVirtualMachine',
  'NotRunning',
  'GuestNotConnected',
  'ExecNotAllowed',
  'NoConsole',
  'ConsoleInUse',
  'NoDocument',
  'NoLog',
  'TooManyStreams',
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

/** Of a line of a guest's log: the run of the VM, and its number in that run. */
export const logPosition = z.object({ boot: count, sequence: count });
export type LogPosition = z.infer<typeof logPosition>;

const opening = { epoch, stream, uid, window };

/** Each line comes as `<boot>.<sequence> <text>`. */
const logFollow = z.object({
  type: z.literal('logFollow'),
  ...opening,
  /** Goes on with what comes, also of later runs. */
  follow: z.boolean(),
  /** The run before the latest one. */
  previous: z.boolean(),
  tailLines: count.optional(),
  /** Only what comes after this line. */
  after: logPosition.optional(),
});

const exec = z.object({
  type: z.literal('exec'),
  ...opening,
  command: z.array(z.string().max(streamLimits.argumentChars)).min(1).max(streamLimits.arguments),
  stdin: z.boolean(),
  stdout: z.boolean(),
  stderr: z.boolean(),
  /** With a terminal all output is on stdout. */
  terminal: z.object({ height: side, width: side }).optional(),
});

const console = z.object({ type: z.literal('console'), ...opening });
const document = z.object({ type: z.literal('document'), ...opening });

const streamOpened = z.object({
  type: z.literal('streamOpened'),
  stream,
  window,
  /** Of the process, in the guest. */
  processID: count.optional(),
});
/** The last message of a stream from the agent; the operator may have closed it before. */
const streamClosed = z.object({
  type: z.literal('streamClosed'),
  stream,
  exitCode: z.int().min(0).max(0xffff_ffff).optional(),
  /** One of `streamProblems`, or of a later version's. */
  problem: code.catch('Failed').optional(),
  message: boundedText(2048).optional(),
});
/** Nobody wants it any more. */
const streamClose = z.object({ type: z.literal('streamClose'), stream });

const streamData = z.object({ type: z.literal('streamData'), stream, channel, data });
/** No more data comes on this channel. */
const streamEnd = z.object({ type: z.literal('streamEnd'), stream, channel });
/** The reader can take so many more bytes. */
const streamCredit = z.object({ type: z.literal('streamCredit'), stream, channel, bytes: z.int().min(1) });
/** So much of all streams has arrived since the last receipt. */
const streamReceipt = z.object({ type: z.literal('streamReceipt'), bytes: z.int().min(1) });

export const streamOpening = z.discriminatedUnion('type', [logFollow, exec, console, document]);
export type StreamOpening = z.infer<typeof streamOpening>;

const transport = [streamData, streamEnd, streamCredit, streamReceipt] as const;
export const streamTransport = z.discriminatedUnion('type', transport);
export type StreamTransport = z.infer<typeof streamTransport>;
export type StreamData = z.infer<typeof streamData>;
export type StreamOpened = z.infer<typeof streamOpened>;
export type StreamClosed = z.infer<typeof streamClosed>;

export const agentStreamMessages = [streamOpened, streamClosed, ...transport] as const;
export const operatorStreamMessages = [logFollow, exec, console, document, streamClose, ...transport] as const;
export type AgentStreamMessage = StreamOpened | StreamClosed | StreamTransport;
export type OperatorStreamMessage = StreamOpening | z.infer<typeof streamClose> | StreamTransport;
