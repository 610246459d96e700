// The operator's end of the streams of one session (design §7): opens them and exposes their channels as Node streams.
// A session that ends also ends its streams, and their readers learn the cause.
import type { IncomingChannel, OutgoingChannel } from '../../protocol/streams/channels.ts';
import { decodeStreamFrame } from '../../protocol/streams/frames.ts';
import {
  type AgentStreamMessage,
  boundsOf,
  hasTooMany,
  type OperatorStreamMessage,
  type StreamOpened,
  type StreamOpening,
  type StreamProblem,
  streamLimits,
} from '../../protocol/streams/messages.ts';
import { type MultiplexedStream, StreamMultiplexer } from '../../protocol/streams/multiplexer.ts';

type Omitted = 'epoch' | 'stream' | 'window';
type Without<T> = T extends unknown ? Omit<T, Omitted> : never;
/** A request without the members that the session fills in. */
export type StreamRequest = Without<StreamOpening>;

/** How a stream ended. */
export type StreamEnding =
  | { readonly ok: true; readonly exitCode: number | undefined }
  | { readonly ok: false; readonly problem: StreamProblem | string; readonly message: string };

/** The agent's answer when it began to serve the stream, or why it does not. */
export type StreamBeginning =
  | { readonly ok: true; readonly processID: number | undefined }
  | Extract<StreamEnding, { ok: false }>;

export interface AgentStream {
  /** Settled by the agent or by the end of the session. */
  readonly beginning: Promise<StreamBeginning>;
  readonly stdin: OutgoingChannel;
  readonly stdout: IncomingChannel;
  readonly stderr: IncomingChannel;
  /** Data that was sent before the end can still be read. */
  readonly ending: Promise<StreamEnding>;
  /** The reader has gone. */
  close(): void;
}

export interface SessionStreamsPorts {
  /** The last open stream has ended. */
  readonly idle: () => void;
  readonly send: (message: OperatorStreamMessage) => void;
  readonly sendData: (message: OperatorStreamMessage | Buffer) => void;
  readonly epoch: () => number;
  /** Whether the agent accepts data as binary frames. */
  readonly sendsBinary: () => boolean;
}

interface Open {
  readonly uid: string;
  readonly type: StreamOpening['type'];
  readonly stream: MultiplexedStream;
  readonly begin: (beginning: StreamBeginning) => void;
  readonly end: (ending: StreamEnding) => void;
}

const sessionLost: Extract<StreamEnding, { ok: false }> = {
  ok: false,
  problem: 'SessionLost',
  message: 'the connection between the operator and the agent of the host ended',
};

export class SessionStreams {
  readonly #ports: SessionStreamsPorts;
  readonly #multiplexer: StreamMultiplexer;
  readonly #open = new Map<number, Open>();
  #next = 1;

  constructor(ports: SessionStreamsPorts) {
    this.#ports = ports;
    this.#multiplexer = new StreamMultiplexer(ports);
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  /** Undefined when the host or the VM already has the maximum number of streams. */
  open(request: StreamRequest): AgentStream | undefined {
    const { type, uid } = request;
    if (hasTooMany(this.#open.values(), request)) return undefined;
    const id = this.#next;
    this.#next += 1;
    const window = type === 'logFollow' ? streamLimits.logWindowBytes : boundsOf(type).windowBytes;
    const directions = { incoming: ['stdout', 'stderr'], outgoing: ['stdin'] } as const;
    const waitingBytes = type === 'portForward' ? window : undefined;
    const stream = this.#multiplexer.open(id, { ...directions, window, waitingBytes });
    const beginning = Promise.withResolvers<StreamBeginning>();
    const ending = Promise.withResolvers<StreamEnding>();
    this.#open.set(id, { uid, type, stream, begin: beginning.resolve, end: ending.resolve });
    this.#ports.send({ ...request, epoch: this.#ports.epoch(), stream: id, window });
    return {
      beginning: beginning.promise,
      stdin: stream.outgoing('stdin'),
      stdout: stream.incoming('stdout'),
      stderr: stream.incoming('stderr'),
      ending: ending.promise,
      close: () => {
        const wasOpen = this.#open.has(id);
        this.#settle(id, { ok: false, problem: 'Failed', message: 'the stream was closed' });
        stream.abandon();
        if (wasOpen) this.#ports.send({ type: 'streamClose', stream: id });
      },
    };
  }

  receive(message: AgentStreamMessage): void {
    switch (message.type) {
      case 'streamOpened':
        this.#begin(message);
        break;
      case 'streamClosed': {
        const { exitCode, message: text = '', problem, stream } = message;
        this.#settle(stream, problem === undefined ? { ok: true, exitCode } : { ok: false, problem, message: text });
        break;
      }
      default:
        this.#breakOff(this.#multiplexer.receive(message));
    }
  }

  /** False when the frame is not stream data. */
  receiveBinary(frame: Buffer): boolean {
    const data = decodeStreamFrame(frame);
    if (data !== undefined) this.#breakOff(this.#multiplexer.receiveBytes(data));
    return data !== undefined;
  }

  /** The session is over. */
  end(): void {
    for (const id of [...this.#open.keys()]) this.#settle(id, sessionLost);
  }

  #breakOff(broken: MultiplexedStream | undefined): void {
    if (broken === undefined) return;
    this.#settle(broken.id, { ok: false, problem: 'Failed', message: 'the agent sent more than it may' });
    this.#ports.send({ type: 'streamClose', stream: broken.id });
  }

  #begin({ processID, stream, window }: StreamOpened): void {
    const open = this.#open.get(stream);
    open?.stream.grantAll(window);
    open?.begin({ ok: true, processID });
  }

  #settle(id: number, ending: StreamEnding): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    open.begin(ending.ok ? { ok: true, processID: undefined } : ending);
    open.end(ending);
    open.stream.finish();
    if (this.#open.size === 0) this.#ports.idle();
  }
}
