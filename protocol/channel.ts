// A typed channel over one open WebSocket (design §7), the same on both sides. Every text frame is one message, parsed
// on receipt; binary frames go to `onBinary`. A frame that is neither ends this session only. Outgoing messages wait in
// separate budgets and are sent in this order: control messages (bounded; overflow ends the session), the latest state
// per key, the data of streams.
import type { RawData } from 'ws';
import type { z } from 'zod';
import { beginningInBytes } from '../runtime/beginning.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { messageOf } from '../runtime/error-text.ts';
import { type Frame, FrameQueue, frameOf } from './frame-queue.ts';
import { closeCodes, limits } from './messages.ts';
import type { Socket } from './socket.ts';

/** Bounds of what one channel holds. Bytes are UTF-8 bytes of frames. */
export const channelLimits = {
  /** Handed to the socket and not written yet. Above this, messages wait in the channel. */
  inFlightBytes: 256 * 1024,
  /**
   * Stream data is handed to the socket only below this, so that a control message waits behind little of it. The limit
   * is larger than one frame, because the channel learns only on the next turn of the event loop that a frame was
   * written.
   */
  streamInFlightBytes: 160 * 1024,
  controlBytes: 16 << 20,
  controlMessages: 16_384,
  /** A sender of many messages waits until at most this much is waiting (`drained`). */
  drainedBytes: 4 << 20,
  /** Larger than `streamLimits.onTheWayBytes` in base64 with framing. */
  streamBytes: 4 << 20,
  latestKeys: limits.virtualMachinesPerHost,
  missedHeartbeats: 3,
  /**
   * Answers to pings that the other side has not read. Further pings get no answer: the newest answer stands for all.
   */
  unreadPongs: 16,
  closeTimeoutMilliseconds: 3_000,
  closeReasonBytes: 120,
} as const;

/**
 * The largest frame that `ws` itself accepts (`maxPayload`). A frame above `limits.frameBytes` is refused with our
 * close code.
 */
export const webSocketMaxPayload = 2 * limits.frameBytes;

export type FrameKind = 'text' | 'binary' | 'ping';

export interface ChannelSettings<In> {
  readonly schema: z.ZodType<In>;
  readonly clock: Clock;
  /** The pinger sends a ping once an interval; the watcher expects one. */
  readonly heartbeat: 'pinger' | 'watcher';
  readonly heartbeatSeconds: number;
  readonly onMessage: (message: In) => void;
  /**
   * Takes a binary frame. False when the frame is not of an agreed kind. Without this callback, every binary frame is
   * refused.
   */
  readonly onBinary?: (frame: Buffer) => boolean;
  /**
   * Called for every frame that arrives. Returns for how many milliseconds the channel stops reading. Meanwhile frames
   * wait in the network, at the other side's expense.
   */
  readonly onFrame?: (kind: FrameKind, bytes: number) => number;
  readonly onThrottled?: () => void;
  /** The other side sent something that is not a message. The session ends. */
  readonly onMalformed?: () => void;
  /** The socket does not answer pings by itself; the channel does, and bounds their number. */
  readonly answersPings?: boolean;
}

export interface ChannelClosed {
  readonly code: number;
  readonly reason: string;
}

export class Channel<In, Out extends object> {
  readonly closed: Promise<ChannelClosed>;

  readonly #socket: Socket;
  readonly #settings: ChannelSettings<In>;
  readonly #control = new FrameQueue();
  readonly #latest = new Map<string, Out>();
  readonly #streams = new FrameQueue();
  #inFlightBytes = 0;
  #unreadPongs = 0;
  #onDrained: (() => void)[] = [];
  #missed = 0;
  #heartbeat: Timer | undefined;
  #ending: ChannelClosed | undefined;
  #resolveClosed: (closed: ChannelClosed) => void = () => {};

  /** Takes over an open socket; must be called before the socket can have received its first frame. */
  constructor(socket: Socket, settings: ChannelSettings<In>) {
    this.#socket = socket;
    this.#settings = settings;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('ping', (data) => this.#pinged(data));
    socket.on('pong', (data) => {
      this.#alive();
      this.#throttle('ping', data.length);
    });
    socket.on('error', (error) => this.#note({ code: 1006, reason: error.message }));
    socket.on('close', (code, reason) => this.#ended({ code, reason: reason.toString('utf8') }));
    this.setHeartbeat(settings.heartbeatSeconds);
  }

  get open(): boolean {
    return this.#ending === undefined;
  }

  /**
   * Sends in order, ahead of states and streams. A waiting state of the key `supersedes` is dropped, because it would
   * arrive after this message. False when the channel is closed or this message overflowed it.
   */
  send(message: Out, supersedes?: string): boolean {
    if (!this.open) return false;
    if (supersedes !== undefined) this.#latest.delete(supersedes);
    this.#control.push(frameOf(message));
    if (this.#control.bytes > channelLimits.controlBytes || this.#control.length > channelLimits.controlMessages) {
      this.close(closeCodes.overflow, 'too many control messages are waiting');
      return false;
    }
    this.#pump();
    return this.open;
  }

  /** Sends the state of `key`. While the socket is congested, only the newest state of each key is kept. */
  sendLatest(key: string, message: Out): boolean {
    if (!this.open) return false;
    this.#latest.set(key, message);
    if (this.#latest.size > channelLimits.latestKeys) {
      this.close(closeCodes.overflow, 'states of too many keys are waiting');
      return false;
    }
    this.#pump();
    return this.open;
  }

  /** Resolves when few control messages are waiting or the channel closes. */
  drained(): Promise<void> | undefined {
    if (this.#isDrained) return undefined;
    return new Promise((resolve) => this.#onDrained.push(resolve));
  }

  get #isDrained(): boolean {
    return !this.open || this.#control.bytes <= channelLimits.drainedBytes;
  }

  /** States that are waiting to be handed to the socket. */
  get statesWaiting(): number {
    return this.#latest.size;
  }

  /**
   * Sends stream data, as a message or a binary frame, after everything else. The sender limits the amount by the
   * receipts of the other side. False when the channel is closed or this data overflowed it.
   */
  sendStream(message: Out | Buffer): boolean {
    if (!this.open) return false;
    this.#streams.push(Buffer.isBuffer(message) ? { data: message, bytes: message.length } : frameOf(message));
    if (this.#streams.bytes > channelLimits.streamBytes) {
      this.close(closeCodes.overflow, 'too much data of streams is waiting');
      return false;
    }
    this.#pump();
    return this.open;
  }

  setHeartbeat(seconds: number): void {
    this.#heartbeat?.cancel();
    this.#missed = 0;
    if (this.open) this.#scheduleHeartbeat(seconds * 1000);
  }

  /** Waiting messages are dropped. A peer that does not answer the closing handshake is disconnected. */
  close(code: number, reason: string): void {
    if (!this.open) return;
    const shortReason = beginningInBytes(reason, channelLimits.closeReasonBytes);
    this.#note({ code, reason: shortReason });
    this.#socket.close(code, shortReason);
    this.#settings.clock.after(channelLimits.closeTimeoutMilliseconds, () => this.#socket.terminate());
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#alive();
    if (!this.open) return;
    const bytes = bytesOf(data);
    this.#throttle(isBinary ? 'binary' : 'text', bytes.length);
    try {
      const problem = isBinary ? this.#takeBinary(bytes) : this.#takeMessage(bytes);
      if (problem === undefined) return;
      this.#settings.onMalformed?.();
      this.close(closeCodes.malformed, problem);
    } catch (error) {
      this.close(1011, `message handler failed: ${messageOf(error)}`);
    }
  }

  #takeMessage(frame: Buffer): string | undefined {
    const parsed = parseFrame(frame, this.#settings.schema);
    if ('error' in parsed) return parsed.error;
    this.#settings.onMessage(parsed.message);
    return undefined;
  }

  #takeBinary(frame: Buffer): string | undefined {
    if (frame.length > limits.frameBytes) return tooLong;
    return this.#settings.onBinary?.(frame) === true ? undefined : 'binary frame';
  }

  #pinged(data: Buffer): void {
    this.#alive();
    this.#throttle('ping', data.length);
    if (this.#settings.answersPings !== true || !this.open || this.#unreadPongs >= channelLimits.unreadPongs) return;
    this.#unreadPongs += 1;
    this.#socket.pong(data, undefined, () => {
      this.#unreadPongs -= 1;
    });
  }

  #throttle(kind: FrameKind, bytes: number): void {
    const milliseconds = this.#settings.onFrame?.(kind, bytes) ?? 0;
    if (milliseconds === 0 || this.#socket.isPaused) return;
    this.#settings.onThrottled?.();
    this.#socket.pause();
    this.#settings.clock.after(milliseconds, () => this.#socket.resume());
  }

  #pump(): void {
    while (this.open && this.#inFlightBytes < channelLimits.inFlightBytes) {
      const frame = this.#control.shift() ?? this.#shiftLatest() ?? this.#shiftStream();
      if (frame === undefined) return;
      if (this.#isDrained) this.#tellDrained();
      this.#inFlightBytes += frame.bytes;
      this.#socket.send(frame.data, () => {
        this.#inFlightBytes -= frame.bytes;
        this.#pump();
      });
    }
  }

  #tellDrained(): void {
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }

  #shiftLatest(): Frame | undefined {
    for (const [key, message] of this.#latest) {
      this.#latest.delete(key);
      return frameOf(message);
    }
    return undefined;
  }

  #shiftStream(): Frame | undefined {
    return this.#inFlightBytes < channelLimits.streamInFlightBytes ? this.#streams.shift() : undefined;
  }

  /** Counts intervals, not time, so that a stepped clock or a suspended process does not look like silence. */
  #scheduleHeartbeat(milliseconds: number): void {
    this.#heartbeat = this.#settings.clock.after(milliseconds, () => {
      if (!this.open) return;
      if (this.#missed >= channelLimits.missedHeartbeats) {
        this.#note({ code: 1006, reason: 'the other side is silent' });
        this.#socket.terminate();
        return;
      }
      this.#missed += 1;
      if (this.#settings.heartbeat === 'pinger') this.#socket.ping();
      this.#scheduleHeartbeat(milliseconds);
    });
  }

  #alive(): void {
    this.#missed = 0;
  }

  /** The first cause is the one that `closed` reports. */
  #note(ending: ChannelClosed): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    this.#heartbeat?.cancel();
    this.#control.clear();
    this.#tellDrained();
    this.#latest.clear();
    this.#streams.clear();
  }

  #ended(ending: ChannelClosed): void {
    this.#note(ending);
    this.#resolveClosed(this.#ending ?? ending);
  }
}

const tooLong = `frame of more than ${limits.frameBytes} bytes`;

function parseFrame<In>(bytes: Buffer, schema: z.ZodType<In>): { readonly message: In } | { readonly error: string } {
  if (bytes.byteLength > limits.frameBytes) return { error: tooLong };
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    return { error: 'frame is not JSON' };
  }
  const result = schema.safeParse(json);
  if (result.success) return { message: result.data };
  const issue = result.error.issues[0];
  return { error: `frame is no message: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}` };
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
