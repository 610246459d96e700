// All streams of one session, the same on both sides: hands what arrives to the channel that it is for, and sends what the
// channels have, in turn. What is said of a stream that is over already crossed its end on the way and is dropped.
import { IncomingChannel, OutgoingChannel } from './stream-channels.ts';
import {
  type StreamChannel,
  type StreamData,
  type StreamTransport,
  streamChannels,
  streamLimits,
} from './stream-messages.ts';
import { costOf, StreamTurns } from './stream-turns.ts';

export interface MultiplexerPorts {
  /** Ahead of all data. */
  readonly send: (message: StreamTransport) => void;
  /** In the budget of streams. */
  readonly sendData: (message: StreamData | Extract<StreamTransport, { type: 'streamEnd' }>) => void;
}

export interface ChannelDirections {
  readonly incoming: readonly StreamChannel[];
  readonly outgoing: readonly StreamChannel[];
  /** What the other side may send on each channel at first, in bytes. */
  readonly window: number;
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

  /** The first credit of all channels that are sent on. */
  grantAll(bytes: number): void {
    for (const channel of this.#outgoing.values()) channel.grant(bytes);
  }

  /** False when the other side broke the rules of the stream. */
  receive(message: Exclude<StreamTransport, { type: 'streamReceipt' }>): boolean {
    switch (message.type) {
      case 'streamData':
        return this.#incoming.get(message.channel)?.arrived(Buffer.from(message.data, 'base64')) ?? false;
      case 'streamEnd':
        this.#incoming.get(message.channel)?.ended();
        return true;
      case 'streamCredit':
        this.#outgoing.get(message.channel)?.grant(message.bytes);
        return true;
    }
  }

  /** Nothing more is sent; what arrived can still be read to its end. */
  finish(): void {
    this.#onOver();
    for (const channel of this.#outgoing.values()) channel.destroy();
    for (const channel of this.#incoming.values()) channel.ended();
  }

  /** Nobody reads any more either. */
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

  open(id: number, { incoming, outgoing, window }: ChannelDirections): MultiplexedStream {
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
        send: (bytes: Buffer) => sendData({ type: 'streamData', stream: id, channel, data: bytes.toString('base64') }),
        end: () => sendData({ type: 'streamEnd', stream: id, channel }),
      };
      return [channel, new OutgoingChannel(ports)] as const;
    });
    const stream = new MultiplexedStream(id, new Map(ins), new Map(outs), () => this.#streams.delete(id));
    this.#streams.set(id, stream);
    return stream;
  }

  /** The stream whose rules the message broke: it is over. */
  receive(message: StreamTransport): MultiplexedStream | undefined {
    if (message.type === 'streamReceipt') {
      this.#turns.arrived(message.bytes);
      return undefined;
    }
    if (message.type === 'streamData') this.#count(message.data);
    const stream = this.#streams.get(message.stream);
    return stream === undefined || stream.receive(message) ? undefined : stream;
  }

  /** The session is over. */
  end(): void {
    for (const stream of [...this.#streams.values()]) stream.finish();
  }

  #count(base64: string): void {
    this.#unreceipted += costOf(Buffer.byteLength(base64, 'base64'));
    if (this.#unreceipted < streamLimits.receiptBytes) return;
    this.#ports.send({ type: 'streamReceipt', bytes: this.#unreceipted });
    this.#unreceipted = 0;
  }
}

function required<T>(channel: T | undefined, name: StreamChannel): T {
  if (channel === undefined) throw new Error(`the stream has no channel ${name}: ${streamChannels.join(', ')}`);
  return channel;
}
