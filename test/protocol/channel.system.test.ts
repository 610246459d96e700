import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { Channel, type ChannelSettings, channelLimits, webSocketMaxPayload } from '../../protocol/channel.ts';
import { agentMessage, closeCodes, limits, operatorMessage } from '../../protocol/messages.ts';
import { systemClock } from '../../runtime/clock.ts';

const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('control'), number: z.int() }),
  z.object({ type: z.literal('state'), key: z.string(), number: z.int(), filler: z.string().optional() }),
  z.object({ type: z.literal('stream'), number: z.int(), filler: z.string() }),
]);
type Message = z.infer<typeof message>;

let server: WebSocketServer;

beforeAll(async () => {
  server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    maxPayload: webSocketMaxPayload,
    perMessageDeflate: false,
  });
  await once(server, 'listening');
});

afterAll(() => {
  for (const client of server.clients) client.terminate();
  server.close();
});

async function pair(options: { readonly autoPong?: boolean } = {}): Promise<{ near: WebSocket; far: WebSocket }> {
  const accepted = once(server, 'connection');
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const near = new WebSocket(url, { perMessageDeflate: false, ...options });
  const [far] = (await accepted) as [WebSocket];
  if (near.readyState !== near.OPEN) await once(near, 'open');
  return { near, far };
}

function channelOver(
  socket: WebSocket,
  received: Message[] = [],
  settings: Partial<ChannelSettings<Message>> = {},
): Channel<Message, Message> {
  return new Channel<Message, Message>(socket, {
    schema: message,
    clock: systemClock,
    heartbeat: 'watcher',
    heartbeatSeconds: 10,
    onMessage: (received_) => received.push(received_),
    ...settings,
  });
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 10_000, interval: 2 }).toBe(true);
}

describe('channel', () => {
  it('carries messages in both directions in order', async () => {
    const { near, far } = await pair();
    const [atNear, atFar]: [Message[], Message[]] = [[], []];
    const left = channelOver(near, atNear);
    const right = channelOver(far, atFar);
    for (let number = 0; number < 100; number += 1) {
      left.send({ type: 'control', number });
      right.send({ type: 'control', number });
    }
    await until(() => atNear.length === 100 && atFar.length === 100);
    expect(atNear.map((each) => each.number)).toEqual(Array.from({ length: 100 }, (_, index) => index));
    left.close(1000, 'done');
    expect(await right.closed).toEqual({ code: 1000, reason: 'done' });
    expect(await left.closed).toEqual({ code: 1000, reason: 'done' });
    expect(left.send({ type: 'control', number: 1 })).toBe(false);
  });

  it.each([
    ['text that is not JSON', (socket: WebSocket) => socket.send('{"type":')],
    ['a message of an unknown type', (socket: WebSocket) => socket.send('{"type":"mystery"}')],
    ['a binary frame', (socket: WebSocket) => socket.send(Buffer.from('{"type":"control","number":1}'))],
    ['an oversized frame', (socket: WebSocket) => socket.send('x'.repeat(limits.frameBytes + 1))],
  ])('ends only its own session with 4400 on %s', async (_name, send) => {
    const bystanders = await pair();
    const received: Message[] = [];
    const bystander = channelOver(bystanders.far, received);
    const { near, far } = await pair();
    const channel = channelOver(far);
    send(near);
    const [code] = await once(near, 'close');
    expect(code).toBe(closeCodes.malformed);
    expect((await channel.closed).code).toBe(closeCodes.malformed);
    bystanders.near.send('{"type":"control","number":7}');
    await until(() => received.length === 1);
    expect(bystander.open).toBe(true);
  });

  it('allocates no memory for a frame beyond the hard bound', async () => {
    const { near, far } = await pair();
    const channel = channelOver(far);
    near.send('x'.repeat(webSocketMaxPayload + 1));
    near.on('error', () => {});
    expect((await channel.closed).code).toBe(1006);
  });

  it('ends the session, not the process, when the handler fails', async () => {
    const { near, far } = await pair();
    const channel = channelOver(far, [], {
      onMessage: () => {
        throw new Error('boom');
      },
    });
    near.send('{"type":"control","number":1}');
    expect(await channel.closed).toEqual({ code: 1011, reason: 'message handler failed: boom' });
  });

  it('keeps only the newest state of a key while congested, and lets control messages pass', async () => {
    const { near, far } = await pair();
    const sender = channelOver(near);
    far.pause();
    const filler = 'x'.repeat(100_000);
    for (let fill = 0; near.bufferedAmount < channelLimits.inFlightBytes && fill < 500; fill += 1) {
      sender.sendLatest('fill', { type: 'state', key: 'fill', number: fill, filler });
    }
    for (let number = 1000; number < 3000; number += 1) sender.sendLatest('a', { type: 'state', key: 'a', number });
    sender.sendLatest('gone', { type: 'state', key: 'gone', number: 1 });
    for (let chunk = 0; chunk < 30; chunk += 1) sender.sendStream({ type: 'stream', number: chunk, filler });
    sender.send({ type: 'control', number: 1 }, 'gone');
    const received: Message[] = [];
    channelOver(far, received);
    far.resume();
    await until(() => received.filter((each) => each.type === 'stream').length === 30);
    expect(received.filter((each) => each.type === 'state' && each.key === 'a')).toEqual([
      { type: 'state', key: 'a', number: 2999 },
    ]);
    expect(received.some((each) => each.type === 'state' && each.key === 'gone')).toBe(false);
    const control = received.findIndex((each) => each.type === 'control');
    expect(control).toBeGreaterThanOrEqual(0);
    const state = received.findIndex((each) => each.type === 'state' && each.key === 'a');
    expect(control).toBeLessThan(state);
    expect(state).toBeLessThan(received.findIndex((each) => each.type === 'stream'));
  });

  it('ends the session when control messages overflow', async () => {
    const { near, far } = await pair();
    const sender = channelOver(near);
    far.pause();
    const filler = 'x'.repeat(1_000_000);
    let sent = 0;
    while (sender.send({ type: 'state', key: 'k', number: sent, filler }) && sent < 1000) sent += 1;
    expect(sent).toBeLessThan(200);
    far.terminate();
    expect((await sender.closed).code).toBe(closeCodes.overflow);
  });

  it('ends the session when states of too many keys wait', async () => {
    const { near, far } = await pair();
    const sender = channelOver(near);
    far.pause();
    const filler = 'x'.repeat(limits.frameBytes - 1000);
    let key = 0;
    while (sender.sendLatest(`${key}`, { type: 'state', key: `${key}`, number: 1, filler }) && key < 100_000) key += 1;
    expect(key).toBeLessThan(channelLimits.latestKeys + 1000);
    far.terminate();
    expect((await sender.closed).code).toBe(closeCodes.overflow);
  });

  it('keeps an idle pair connected by pings, and detects a silent peer on both sides', async () => {
    const healthy = await pair();
    const pinger = channelOver(healthy.near, [], { heartbeat: 'pinger', heartbeatSeconds: 0.05 });
    const watcher = channelOver(healthy.far, [], { heartbeat: 'watcher', heartbeatSeconds: 0.05 });
    let pings = 0;
    healthy.far.on('ping', () => (pings += 1));
    await until(() => pings > 8);
    expect([pinger.open, watcher.open]).toEqual([true, true]);

    const silent = await pair();
    silent.far.pause();
    const lonelyPinger = channelOver(silent.near, [], { heartbeat: 'pinger', heartbeatSeconds: 0.02 });
    expect(await lonelyPinger.closed).toEqual({ code: 1006, reason: 'the other side is silent' });

    const mute = await pair();
    const lonelyWatcher = channelOver(mute.far, [], { heartbeat: 'watcher', heartbeatSeconds: 0.02 });
    expect((await lonelyWatcher.closed).reason).toBe('the other side is silent');
  });

  it('keeps a bounded number of answers to pings for a peer that does not read them', async () => {
    const { near, far } = await pair({ autoPong: false });
    let pings = 0;
    const channel = channelOver(near, [], {
      answersPings: true,
      onFrame: () => {
        pings += 1;
        return 0;
      },
    });
    far.pause();
    let pongs = 0;
    far.on('pong', () => {
      pongs += 1;
    });
    const sent = 150_000;
    for (let each = 0; each < sent; each += 1) far.ping(Buffer.alloc(125));
    await until(() => pings === sent);
    expect(near.bufferedAmount).toBeLessThanOrEqual(channelLimits.unreadPongs * 129);
    far.resume();
    await until(() => pongs > 0 && near.bufferedAmount === 0);
    far.ping();
    const before = pongs;
    await until(() => pongs > before);
    expect(channel.open).toBe(true);
  });

  it('survives any sequence of bytes', async () => {
    const frame = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.json(),
      fc.uint8Array({ maxLength: 200 }),
      fc.constant('['.repeat(100_000)),
      fc.constantFrom('{"type":"hello"}', '{"type":"observed","virtualMachine":{"uid":"x"}}', 'null', '"', '{}'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 5 }), fc.boolean(), async (frames, asAgent) => {
        const { near, far } = await pair();
        const channel = new Channel<unknown, object>(far, {
          schema: asAgent ? operatorMessage : agentMessage,
          clock: systemClock,
          heartbeat: 'watcher',
          heartbeatSeconds: 10,
          onMessage: () => {},
        });
        near.on('error', () => {});
        for (const each of frames) near.send(each);
        expect((await channel.closed).code).toBe(closeCodes.malformed);
      }),
      { numRuns: 100 },
    );
  });

  it('survives bytes that are not WebSocket frames', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const { near, far } = await pair();
        const channel = channelOver(far);
        near.on('error', () => {});
        const raw = (near as unknown as { _socket: NodeJS.WritableStream & { destroySoon(): void } })._socket;
        raw.write(bytes);
        raw.destroySoon();
        expect((await channel.closed).code).toBeGreaterThan(0);
      }),
      { numRuns: 100 },
    );
  });

  it('closes with a reason of whole characters that fits into a close frame', async () => {
    const { near, far } = await pair();
    const channel = channelOver(far);
    channel.close(4400, 'é'.repeat(500));
    const [, reason] = (await once(near, 'close')) as [number, Buffer];
    expect(reason.toString('utf8')).toMatch(/^é+$/);
  });
});
