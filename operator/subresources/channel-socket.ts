// `exec`, `console` and `portforward` over a WebSocket: the channels of a stream; each message begins with the number of its channel.
// A slow client slows the stream down, a client that sends more than the guest takes has to wait, and a client that
// answers no pings is disconnected.
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { RawData, WebSocket } from 'ws';
import { channels, type StatusMessage } from '../../protocol/subresources.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { plainText } from '../../runtime/plain-text.ts';
import type { StreamEnding } from '../agents/session-streams.ts';
import type { BegunStream } from './machine-streams.ts';

const pingMilliseconds = 20_000;
const missedPings = 3;
const closeMilliseconds = 5_000;
/**
 * Options for the server of these WebSockets. Clients are users, each of whom may do anything with his own connection.
 */
export const channelSocketOptions = {
  /** A larger message ends the client's connection. */
  maxPayload: 1 << 20,
  /** So does a message in more reads or more frames: joining 262,144 pieces took 19 s. */
  maxBufferedChunks: 8_192,
  maxFragments: 1_024,
  perMessageDeflate: false,
  /** `ChannelSocket` answers pings and bounds their number. */
  autoPong: false,
} as const;
/** A forwarded connection has small buffers, because there may be many. */
export const forwardSocketOptions = { ...channelSocketOptions, maxPayload: 128 << 10 } as const;
/** Most messages that wait for the guest, however short they are. */
const maximumInputs = 1_024;
/** Answers to pings that the client has not read. Further pings get no answer: the newest answer stands for all. */
const maximumPongs = 16;

const resizeRefusal =
  'the size of a terminal is set when it is opened, and the bridge to the guest resizes terminals of containers only: run stty rows R cols C in it';

export interface ChannelSocketOptions {
  /** The client learns that `stdout` has ended while `stdin` goes on. */
  readonly tellsEndOfOutput?: boolean;
}

export class ChannelSocket {
  readonly #socket: WebSocket;
  readonly #begun: BegunStream;
  readonly #clock: Clock;
  readonly #tellsEndOfOutput: boolean;
  #hasFailed = false;
  #unanswered = 0;
  #inputs = 0;
  #pongs = 0;
  #isResizeRefused = false;
  #timer: Timer | undefined;

  constructor(
    socket: WebSocket,
    begun: BegunStream,
    clock: Clock,
    { tellsEndOfOutput = false }: ChannelSocketOptions = {},
  ) {
    this.#socket = socket;
    this.#begun = begun;
    this.#clock = clock;
    this.#tellsEndOfOutput = tellsEndOfOutput;
  }

  /** Resolves when the client has disconnected. */
  async serve(): Promise<void> {
    const { processID, stream } = this.#begun;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.on('error', () => this.#socket.terminate());
    this.#socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    this.#socket.on('pong', () => {
      this.#unanswered = 0;
    });
    this.#socket.on('ping', (data) => this.#pong(data));
    stream.stdin.on('drain', () => this.#resume());
    this.#ping();
    this.#say({ type: 'started', ...(processID !== undefined && { processID }) });
    void stream.ending.then(({ ok }) => {
      this.#hasFailed = !ok;
    });
    const written = [
      finished(stream.stdout.pipe(this.#writer(channels.stdout))).then(() => this.#outputEnded()),
      finished(stream.stderr.pipe(this.#writer(channels.stderr))),
    ];
    void this.#end(stream.ending, written);
    await closed;
    this.#timer?.cancel();
    stream.close();
  }

  /** Sends the end after all data before it. */
  async #end(ending: Promise<StreamEnding>, written: readonly Promise<void>[]): Promise<void> {
    const outcome = await ending;
    await Promise.allSettled(written);
    if (outcome.ok) {
      this.#say({ type: 'exited', ...(outcome.exitCode !== undefined && { exitCode: outcome.exitCode }) });
    } else {
      this.#say({ type: 'failed', problem: outcome.problem, message: plainText(outcome.message) });
    }
    this.#socket.close(1000);
    this.#clock.after(closeMilliseconds, () => this.#socket.terminate());
  }

  /** Data that is cut off by a failure must not look complete. */
  #outputEnded(): void {
    const isOpen = this.#socket.readyState === this.#socket.OPEN;
    if (this.#tellsEndOfOutput && isOpen && !this.#hasFailed)
      this.#socket.send(Buffer.of(channels.close, channels.stdout));
  }

  #receive(data: RawData, isBinary: boolean): void {
    const { stdin } = this.#begun.stream;
    const bytes = bytesOf(data);
    const channel = isBinary ? bytes[0] : undefined;
    if (channel === channels.stdin) {
      this.#input(bytes.subarray(1));
    } else if (channel === channels.close && bytes[1] === channels.stdin) {
      stdin.end();
      // Further input is dropped, and no `drain` comes any more. The answers to pings still have to be read.
      this.#socket.resume();
    } else if (channel === channels.resize) {
      // Once only: a client that does not read could provoke any number of answers.
      if (!this.#isResizeRefused) this.#say({ type: 'refused', message: resizeRefusal });
      this.#isResizeRefused = true;
    } else {
      this.#socket.close(1003, 'no such channel');
    }
  }

  /** Counts messages: a stream counts bytes only, so empty or tiny messages would wait without a bound. */
  #input(bytes: Buffer): void {
    const { stdin } = this.#begun.stream;
    if (bytes.length === 0 || stdin.writableEnded || stdin.destroyed) return;
    this.#inputs += 1;
    const hasRoom = stdin.write(bytes, () => {
      this.#inputs -= 1;
      if (this.#inputs === maximumInputs / 2) this.#resume();
    });
    if (!hasRoom || this.#inputs >= maximumInputs) this.#socket.pause();
  }

  #resume(): void {
    const { stdin } = this.#begun.stream;
    if (!stdin.writableNeedDrain && this.#inputs < maximumInputs) this.#socket.resume();
  }

  #pong(data: Buffer): void {
    if (this.#pongs >= maximumPongs) return;
    this.#pongs += 1;
    this.#socket.pong(data, undefined, () => {
      this.#pongs -= 1;
    });
  }

  #writer(channel: number): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#socket.readyState !== this.#socket.OPEN) done();
        // The callback runs once the network has taken the bytes.
        else this.#socket.send(Buffer.concat([Buffer.of(channel), chunk]), () => done());
      },
    });
  }

  #say(message: StatusMessage): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(Buffer.concat([Buffer.of(channels.status), Buffer.from(JSON.stringify(message))]));
  }

  #ping(): void {
    this.#timer = this.#clock.after(pingMilliseconds, () => {
      if (this.#unanswered >= missedPings) {
        this.#socket.terminate();
        return;
      }
      // While the guest takes no input, nothing is read, so answers are not seen. The ping still finds a dead connection.
      if (!this.#socket.isPaused) this.#unanswered += 1;
      this.#socket.ping();
      this.#ping();
    });
  }
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
