// All streams of one session, the same on both sides. Passes arriving data to its channel, and sends the data of the
// channels in turn. A message about a stream that is already over crossed the end on the way and is dropped.
import { buffersPass } from '../../runtime/passing-buffers.ts';
import { IncomingChannel, OutgoingChannel } from './channels.ts';
import { encodeStreamFrame, type StreamBytes } from './frames.ts';
import { type StreamChannel, type StreamData, type StreamTransport, streamChannels, streamLimits } from './messages.ts';
import { costOf, StreamTurns } from './turns.ts';

export interface MultiplexerPorts {
  /** Sends ahead of all data. */
  readonly send: (message: StreamTransport) => void;
  /** Sends within the budget of streams. */
  readonly sendData: (message: StreamData | Extract<StreamTransport, { type: 'streamEnd' }> | Buffer) => void;
  /** Whether the other side accepts binary frames. */
  readonly sendsBinary: () => boolean;
}

export interface ChannelDirections {
  readonly incoming: readonly StreamChannel[];
  readonly outgoing: readonly StreamChannel[];
  /** Bytes that the other side may send on each channel at first. */
  readonly window: number;
  /** As in `OutgoingPorts`. */
  readonly waitingBytes?: number | undefined;
}

/** The channels of one stream. */
export class MultiplexedStream {
  readonly id: number;
  readonly #incoming: ReadonlyMap<StreamChannel, IncomingChannel>;
  readonly #outgoing: ReadonlyMap<StreamChannel, OutgoingChannel>;
  readonly #onOver: () => void;

  constructor(
    id: number,
    incoming: ReadonlyMap<StreamChannel, IncomingChannel>,
    outgoing: ReadonlyMap<StreamChannel, OutgoingChannel>,
    onOver: () => void,
  ) {
    this.id = id;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#onOver = onOver;
  }

  incoming(channel: StreamChannel): IncomingChannel {
    return required(this.#incoming.get(channel), channel);
  }

  outgoing(channel: StreamChannel): OutgoingChannel {
    return required(this.#outgoing.get(channel), channel);
  }

  /** Grants the first credit to all outgoing channels. */
  grantAll(bytes: number): void {
    for (const channel of this.#outgoing.values()) channel.grant(bytes);
  }

  /** False when the other side broke the rules of the stream. */
  receiveBytes(channel: StreamChannel, bytes: Buffer): boolean {
    return this.#incoming.get(channel)?.arrived(bytes) ?? false;
  }

  receive(message: Exclude<StreamTransport, StreamData | { type: 'streamReceipt' }>): void {
    switch (message.type) {
      case 'streamEnd':
        this.#incoming.get(message.channel)?.ended();
        break;
      case 'streamCredit':
        this.#outgoing.get(message.channel)?.grant(message.bytes);
    }
  }

  /** Sends nothing more. Data that arrived can still be read to its end. */
  finish(): void {
    this.#onOver();
    for (const channel of this.#outgoing.values()) channel.destroy();
    for (const channel of this.#incoming.values()) channel.ended();
  }

  /** Like `finish`, and discards the data that was not read. */
  abandon(): void {
    this.finish();
    for (const channel of this.#incoming.values()) channel.destroy();
  }
}

export class StreamMultiplexer {
  readonly #ports: MultiplexerPorts;
  readonly #turns = new StreamTurns();
  readonly #streams = new Map<number, MultiplexedStream>();
  #unreceipted = 0;

  constructor(ports: MultiplexerPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#streams.size;
  }

  has(id: number): boolean {
    return this.#streams.has(id);
  }

  open(id: number, { incoming, outgoing, waitingBytes, window }: ChannelDirections): MultiplexedStream {
    const { send, sendData } = this.#ports;
    const ins = incoming.map((channel) => {
      const grant = (bytes: number) => {
        if (this.#streams.has(id)) send({ type: 'streamCredit', stream: id, channel, bytes });
      };
      return [channel, new IncomingChannel(window, grant)] as const;
    });
    const outs = outgoing.map((channel) => {
      const ports = {
        turns: this.#turns,
        send: (bytes: Buffer) => this.#sendBytes({ stream: id, channel, bytes }),
        end: () => sendData({ type: 'streamEnd', stream: id, channel }),
        waitingBytes,
      };
      return [channel, new OutgoingChannel(ports)] as const;
    });
    const stream = new MultiplexedStream(id, new Map(ins), new Map(outs), () => this.#streams.delete(id));
    this.#streams.set(id, stream);
    return stream;
  }

  /** Returns the stream whose rules the message broke: it is over. */
  receive(message: StreamTransport): MultiplexedStream | undefined {
    if (message.type === 'streamReceipt') {
      this.#turns.arrived(message.bytes);
      return undefined;
    }
    if (message.type === 'streamData') {
      const { channel, data, stream } = message;
      return this.receiveBytes({ stream, channel, bytes: Buffer.from(data, 'base64') });
    }
    this.#streams.get(message.stream)?.receive(message);
    return undefined;
  }

  /** Like `receive`, for a binary frame. */
  receiveBytes({ bytes, channel, stream: id }: StreamBytes): MultiplexedStream | undefined {
    buffersPass(bytes.length);
    this.#count(bytes.length);
    const stream = this.#streams.get(id);
    return stream === undefined || stream.receiveBytes(channel, bytes) ? undefined : stream;
  }

  /** The session is over. */
  end(): void {
    for (const stream of [...this.#streams.values()]) stream.finish();
  }

  #sendBytes(data: StreamBytes): void {
    buffersPass(data.bytes.length);
    const { sendData, sendsBinary } = this.#ports;
    if (sendsBinary()) {
      sendData(encodeStreamFrame(data));
      return;
    }
    const { bytes, channel, stream } = data;
    for (let start = 0; start < bytes.length; start += streamLimits.textChunkBytes) {
      const piece = bytes.toString('base64', start, Math.min(bytes.length, start + streamLimits.textChunkBytes));
      sendData({ type: 'streamData', stream, channel, data: piece });
    }
  }

  #count(bytes: number): void {
    this.#unreceipted += costOf(bytes);
    if (this.#unreceipted < streamLimits.receiptBytes) return;
    this.#ports.send({ type: 'streamReceipt', bytes: this.#unreceipted });
    this.#unreceipted = 0;
  }
}

function required<T>(channel: T | undefined, name: StreamChannel): T {
  if (channel === undefined) throw new Error(`the stream has no channel ${name}: ${streamChannels.join(', ')}`);
  return channel;
}
