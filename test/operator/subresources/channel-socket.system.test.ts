// A user who can start processes in his own VM uses the connection to fill the operator's memory or to block it.
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { ChannelSocket, channelSocketOptions } from '../../../operator/subresources/channel-socket.ts';
import { IncomingChannel, OutgoingChannel } from '../../../protocol/streams/channels.ts';
import { costOf, StreamTurns } from '../../../protocol/streams/turns.ts';
import { channels } from '../../../protocol/subresources.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { until } from '../../support/operator/fixture.ts';

let server: WebSocketServer;
let user: WebSocket;
let served: WebSocket;
/** The input of a process that never reads: nothing is sent without credit. */
let stdin: OutgoingChannel;
let clock: ManualClock;

beforeEach(async () => {
  clock = new ManualClock();
  server = new WebSocketServer({ ...channelSocketOptions, port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const serving = new Promise<WebSocket>((resolve) => server.once('connection', resolve));
  user = new WebSocket(`ws://127.0.0.1:${address.port}`, { perMessageDeflate: false });
  await once(user, 'open');
  served = await serving;
  const turns = new StreamTurns();
  const send = ({ length }: Buffer) => void setImmediate(() => turns.arrived(costOf(length)));
  stdin = new OutgoingChannel({ turns, send, end: () => {} });
  const [stdout, stderr] = [new IncomingChannel(1_024, () => {}), new IncomingChannel(1_024, () => {})];
  const pending = new Promise<never>(() => {});
  const stream = { beginning: pending, ending: pending, stdin, stdout, stderr, close: () => stdin.destroy() };
  void new ChannelSocket(served, { stream, processID: 1 }, clock).serve();
});

afterEach(() => {
  user.terminate();
  server.close();
});

const [binary, ping] = [2, 9];
const typed = (text: string) => Buffer.concat([Buffer.of(channels.stdin), Buffer.from(text)]);

/** A frame as a client sends it, with a mask of zeros. */
function frame(opcode: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | data.length, 0, 0, 0, 0), data]);
}

const network = (): Writable => Reflect.get(user, '_socket');

/** Sends a thousand frames per write, because the library would be too slow. */
function sendMany(thousands: number, one: Buffer): void {
  const thousand = Buffer.concat(Array.from({ length: 1_000 }, () => one));
  for (let sent = 0; sent < thousands; sent += 1) network().write(thousand);
}

it('empty messages are not queued', async () => {
  const write = vi.spyOn(stdin, 'write');
  user.send(typed('a'));
  sendMany(20, frame(binary, typed('')));
  user.send(typed('b'));
  await until(() => write.mock.calls.length >= 2);
  expect(write.mock.calls.map(([bytes]) => String(bytes))).toEqual(['a', 'b']);
});

it('short messages wait in the network once there are many, and continue when the process reads', async () => {
  const write = vi.spyOn(stdin, 'write');
  sendMany(50, frame(binary, typed('x')));
  await until(() => served.isPaused);
  // Messages that arrived in the same read as the last accepted one are also accepted.
  expect(write.mock.calls.length).toBeLessThan(25_000);
  stdin.grant(50_000);
  await until(() => stdin.carried === 50_000);
  expect(served.isPaused).toBe(false);
});

it('a client whose input waits is not taken for dead, although its answers to pings cannot be read', async () => {
  sendMany(50, frame(binary, typed('x')));
  await until(() => served.isPaused);
  await clock.advance(200_000);
  expect(served.readyState).toBe(WebSocket.OPEN);
});

it('a client that has ended its input is still heard, although the process does not read it', async () => {
  const input = Array.from({ length: 1_100 }, () => frame(binary, typed('x')));
  network().write(Buffer.concat([...input, frame(binary, Buffer.of(channels.close, channels.stdin))]));
  await until(() => stdin.writableEnded);
  user.ping('1');
  const [answer] = await once(user, 'pong');
  expect(String(answer)).toBe('1');
});

it('another size is refused once, however often it is requested', async () => {
  const said: string[] = [];
  user.on('message', (data: Buffer) => said.push(data.toString('utf8', 1)));
  sendMany(1, frame(binary, Buffer.of(channels.resize)));
  user.close();
  await once(user, 'close');
  expect(said.filter((each) => each.includes('"refused"'))).toHaveLength(1);
});

it('pings are answered, except for a client that reads no answers', async () => {
  user.ping('1');
  const [answer] = await once(user, 'pong');
  expect(String(answer)).toBe('1');
  user.pause();
  sendMany(120, frame(ping, Buffer.alloc(125)));
  await until(() => network().writableLength === 0);
  expect(served.bufferedAmount).toBeLessThan(16_384);
});

it('a message of very many pieces ends the connection', async () => {
  network().write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]));
  const closed = new Promise((resolve) => user.once('close', resolve));
  for (let sent = 0; sent < 20_000 && served.readyState === WebSocket.OPEN; sent += 1) {
    network().write(Buffer.of(0));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await closed).toBe(1008);
}, 60_000);
