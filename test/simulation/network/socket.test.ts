import { expect, test } from 'vitest';
import { z } from 'zod';
import { Channel } from '../../../protocol/channel.ts';
import { World } from '../world.ts';
import { connectedSockets } from './socket.ts';

const message = z.object({ number: z.int(), text: z.string().optional() });
type Message = z.infer<typeof message>;

function connect({ isCut = () => false }: { readonly isCut?: () => boolean } = {}) {
  const world = new World({ seed: 5 });
  const chance = world.chance('latency');
  const pair = connectedSockets({ world, source: 'network', latency: () => 1 + chance.integer(50), isCut });
  const received: { readonly near: Message[]; readonly far: Message[] } = { near: [], far: [] };
  const settings = { schema: message, clock: world.clock('ends'), heartbeatSeconds: 10 };
  const far = new Channel<Message, Message>(pair.far, {
    ...settings,
    heartbeat: 'pinger',
    answersPings: true,
    onMessage: (each) => received.far.push(each),
  });
  const near = new Channel<Message, Message>(pair.near, {
    ...settings,
    heartbeat: 'watcher',
    onMessage: (each) => received.near.push(each),
  });
  return { world, pair, near, far, received };
}

test('messages arrive whole and in order, in both directions', async () => {
  const { world, near, far, received } = connect();
  const sent = Array.from({ length: 200 }, (_, number) => ({ number }));
  for (const each of sent) {
    near.send(each);
    far.send(each);
  }
  await world.run(10_000);
  expect(received).toEqual({ near: sent, far: sent });
});

test('pings keep an idle connection open', async () => {
  const { world, near, far } = connect();
  await world.run(10 * 60_000);
  expect([near.open, far.open]).toEqual([true, true]);
});

test('both ends get the code and the reason of the end that closes', async () => {
  const { world, near, far } = connect();
  near.close(4001, 'renewed');
  await world.run(10_000);
  expect(await Promise.all([near.closed, far.closed])).toEqual([
    { code: 4001, reason: 'renewed' },
    { code: 4001, reason: 'renewed' },
  ]);
});

test('a connection whose other process died ends abnormally', async () => {
  const { world, pair, far } = connect();
  pair.near.sever({ told: true });
  await world.run(10_000);
  expect(await far.closed).toEqual({ code: 1006, reason: '' });
});

test('an end of a half-open connection detects it by the silence', async () => {
  let isCut = false;
  const { world, near, far } = connect({ isCut: () => isCut });
  await world.run(5_000);
  isCut = true;
  await world.run(3 * 60_000);
  expect(await Promise.all([near.closed, far.closed])).toEqual([
    { code: 1006, reason: 'the other side is silent' },
    { code: 1006, reason: 'the other side is silent' },
  ]);
});

test('what was sent while the network was cut arrives once it is whole', async () => {
  let isCut = false;
  const { world, pair, near, received } = connect({ isCut: () => isCut });
  await world.run(5_000);
  isCut = true;
  for (const number of [1, 2, 3]) near.send({ number });
  await world.run(10_000);
  expect(received.far).toEqual([]);
  isCut = false;
  pair.near.mend();
  near.send({ number: 4 });
  await world.run(11_000);
  expect(received.far.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
});

test('a paused reader makes the writer wait, and reads everything later', async () => {
  const { world, pair, near, received } = connect();
  pair.far.pause();
  const text = 'x'.repeat(10_000);
  const sent = Array.from({ length: 100 }, (_, number) => ({ number, text }));
  for (const each of sent) near.send(each);
  await world.run(5_000);
  expect(received.far).toEqual([]);
  pair.far.resume();
  await world.run(10_000);
  expect(received.far).toHaveLength(100);
});
