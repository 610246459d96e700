// The streams of a session between two multiplexers, over a wire that delivers in order and only when a test tells it
// to.
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeStreamFrame, encodeStreamFrame } from '../../protocol/streams/frames.ts';
import { type StreamTransport, streamLimits } from '../../protocol/streams/messages.ts';
import { type MultiplexedStream, StreamMultiplexer } from '../../protocol/streams/multiplexer.ts';
import { costOf, type StreamProducer, StreamTurns } from '../../protocol/streams/turns.ts';

/** One direction of the connection. Control messages overtake data, as on a channel. */
class Wire {
  readonly control: StreamTransport[] = [];
  readonly data: (StreamTransport | Buffer)[] = [];
  /** The largest number of data bytes that ever waited at once. */
  mostWaiting = 0;

  sendData(message: StreamTransport | Buffer): void {
    this.data.push(message);
    const waiting = this.data.reduce((sum, each) => sum + sizeOf(each), 0);
    this.mostWaiting = Math.max(this.mostWaiting, waiting);
  }

  deliverOne(to: StreamMultiplexer): boolean {
    const message = this.control.shift() ?? this.data.shift();
    if (message !== undefined) expect(receiveBy(to, message)).toBeUndefined();
    return message !== undefined;
  }
}

function receiveBy(receiver: StreamMultiplexer, message: StreamTransport | Buffer): MultiplexedStream | undefined {
  if (!Buffer.isBuffer(message)) return receiver.receive(message);
  const data = decodeStreamFrame(message);
  if (data === undefined) throw new Error('no frame of a stream');
  return receiver.receiveBytes(data);
}

function sizeOf(message: StreamTransport | Buffer): number {
  if (Buffer.isBuffer(message)) return message.length;
  return message.type === 'streamData' ? Buffer.byteLength(message.data, 'base64') : 0;
}

function pair(isBinary = false) {
  const there = new Wire();
  const back = new Wire();
  const over = (wire: Wire) =>
    new StreamMultiplexer({
      send: (message) => wire.control.push(message),
      sendData: (message) => wire.sendData(message),
      sendsBinary: () => isBinary,
    });
  return { sender: over(there), receiver: over(back), there, back };
}

function openBoth(sender: StreamMultiplexer, receiver: StreamMultiplexer, id: number, window: number) {
  const output = sender.open(id, { incoming: [], outgoing: ['stdout'], window });
  const input = receiver.open(id, { incoming: ['stdout'], outgoing: [], window });
  output.grantAll(window);
  return { output: output.outgoing('stdout'), input: input.incoming('stdout') };
}

interface Scenario {
  readonly isBinary: boolean;
  /** The sizes of the writes to each stream. */
  readonly streams: readonly (readonly number[])[];
  readonly window: number;
  /** The sizes of the reads, in turn. */
  readonly readSizes: readonly number[];
}

class Reader {
  readonly sent: Buffer;
  readonly #input: ReturnType<typeof openBoth>['input'];
  readonly #window: number;
  readonly #received: Buffer[] = [];

  constructor({ input, output }: ReturnType<typeof openBoth>, chunks: readonly Buffer[], window: number) {
    this.#input = input;
    this.#window = window;
    this.sent = Buffer.concat(chunks);
    for (const chunk of chunks) output.write(chunk);
    output.end();
  }

  get waits(): boolean {
    return this.#input.readableLength > 0;
  }

  read(size: number): void {
    expect(this.#input.readableLength).toBeLessThanOrEqual(this.#window);
    const chunk: unknown = this.#input.read(Math.min(size, this.#input.readableLength || 1));
    if (Buffer.isBuffer(chunk)) this.#received.push(chunk);
  }

  expectAll(): void {
    expect(Buffer.concat(this.#received).equals(this.sent)).toBe(true);
    expect(this.#input.readableEnded).toBe(true);
  }
}

async function play({ isBinary, readSizes, streams, window }: Scenario): Promise<void> {
  const { back, receiver, sender, there } = pair(isBinary);
  const readers = streams.map((sizes, index) => {
    const chunks = sizes.map((size, position) => Buffer.alloc(size, index * 16 + position + 1));
    return new Reader(openBoth(sender, receiver, index + 1, window), chunks, window);
  });
  let idle = 0;
  for (let step = 0; idle < 4; step += 1) {
    const moved = [there.deliverOne(receiver), back.deliverOne(sender)].includes(true);
    for (const reader of readers) reader.read(readSizes[step % readSizes.length] ?? 1);
    await turn();
    idle = moved || readers.some(({ waits }) => waits) ? 0 : idle + 1;
  }
  for (const reader of readers) reader.expectAll();
}

describe('the streams of a session', () => {
  it('keep unread data in few pieces, however small it arrived', async () => {
    const { receiver } = pair(true);
    const window = streamLimits.windowBytes;
    const input = receiver.open(1, { incoming: ['stdout'], outgoing: [], window }).incoming('stdout');
    for (let index = 0; index < window; index += 1) {
      const frame = encodeStreamFrame({ stream: 1, channel: 'stdout', bytes: Buffer.of(index % 251) });
      expect(receiveBy(receiver, frame)).toBeUndefined();
    }
    const pieces: Buffer[] = [];
    input.on('data', (piece: Buffer) => pieces.push(piece));
    await turn();
    expect(Buffer.concat(pieces)).toEqual(Buffer.from(Array.from({ length: window }, (_, index) => index % 251)));
    expect(pieces.length).toBeLessThan(40);
  });

  it('deliver every byte once and in order, whatever is written and however slowly it is read', async () => {
    const scenario: fc.Arbitrary<Scenario> = fc.record({
      isBinary: fc.boolean(),
      streams: fc.array(fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 6 }), {
        minLength: 1,
        maxLength: 4,
      }),
      window: fc.integer({ min: 1024, max: 200_000 }),
      readSizes: fc.array(fc.integer({ min: 400, max: 70_000 }), { minLength: 1, maxLength: 5 }),
    });
    await fc.assert(fc.asyncProperty(scenario, play), {
      numRuns: 25,
      examples: [[{ isBinary: false, streams: [[1540]], window: 1024, readSizes: [1, 1, 513] }]],
    });
  });

  it('have no more in flight than the other side has granted', async () => {
    const { back, receiver, sender, there } = pair();
    const flood = Buffer.alloc(streamLimits.windowBytes);
    for (let id = 1; id <= 16; id += 1) openBoth(sender, receiver, id, streamLimits.windowBytes).output.write(flood);
    await turn();
    expect(there.mostWaiting).toBeGreaterThan(streamLimits.onTheWayBytes / 2);
    expect(there.mostWaiting).toBeLessThanOrEqual(streamLimits.onTheWayBytes + streamLimits.chunkBytes);
    while (there.deliverOne(receiver)) back.deliverOne(sender);
    expect(there.mostWaiting).toBeLessThanOrEqual(streamLimits.onTheWayBytes + streamLimits.chunkBytes);
  });

  it('detect a peer that sends more than it may', () => {
    const { receiver } = pair();
    const stream: MultiplexedStream = receiver.open(1, { incoming: ['stdout'], outgoing: [], window: 1024 });
    const data = Buffer.alloc(1025).toString('base64');
    expect(receiver.receive({ type: 'streamData', stream: 1, channel: 'stdout', data })).toBe(stream);
    expect(receiver.receive({ type: 'streamData', stream: 1, channel: 'stdin', data })).toBe(stream);
    expect(receiver.receive({ type: 'streamData', stream: 2, channel: 'stdout', data })).toBeUndefined();
    const bytes = Buffer.alloc(1025);
    expect(receiver.receiveBytes({ stream: 1, channel: 'stdout', bytes })).toBe(stream);
  });

  it('treat no other binary frame as data', () => {
    const frame = encodeStreamFrame({ stream: 2 ** 40, channel: 'stderr', bytes: Buffer.from('x') });
    expect(decodeStreamFrame(frame)).toEqual({ stream: 2 ** 40, channel: 'stderr', bytes: Buffer.from('x') });
    const ofAnotherKind = Buffer.from([2, ...frame.subarray(1)]);
    const ofNoChannel = Buffer.from([1, 3, ...frame.subarray(2)]);
    for (const other of [ofAnotherKind, ofNoChannel, frame.subarray(0, 7), Buffer.alloc(0)]) {
      expect(decodeStreamFrame(other)).toBeUndefined();
    }
  });

  it('let data that arrived be read to its end when the session is over', async () => {
    const { back, receiver, sender, there } = pair();
    const { input, output } = openBoth(sender, receiver, 1, 65_536);
    output.write('last words');
    await turn();
    there.deliverOne(receiver);
    receiver.end();
    sender.end();
    expect([output.destroyed, receiver.size, back.data.length]).toEqual([true, 0, 0]);
    const read: string[] = [];
    for await (const chunk of input) read.push(String(chunk));
    expect(read.join('')).toBe('last words');
  });
});

describe('turns', () => {
  it('rotate among the streams that have data', () => {
    const turns = new StreamTurns();
    const order: string[] = [];
    const producer = (name: string, messages: number): StreamProducer => {
      let left = messages;
      return {
        produce(room) {
          if (left === 0) return 0;
          left -= 1;
          order.push(name);
          return Math.min(room, 1000);
        },
      };
    };
    const arrived = streamLimits.onTheWayBytes;
    // Nothing is sent before all have asked.
    const blocker = { produce: () => arrived };
    turns.want(blocker);
    for (const [name, messages] of [
      ['a', 3],
      ['b', 1],
      ['c', 2],
    ] as const)
      turns.want(producer(name, messages));
    turns.leave(blocker);
    expect(order).toEqual([]);
    turns.arrived(costOf(arrived));
    expect(order).toEqual(['a', 'b', 'c', 'a', 'c', 'a']);
    expect(turns.onTheWay).toBe(6 * costOf(1000));
  });
});
