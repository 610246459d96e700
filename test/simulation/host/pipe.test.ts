import { finished } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { World } from '../world.ts';
import { connectedPair, type PipeEnd } from './pipe.ts';

const minute = 60_000;

function makePair(resets = false) {
  const world = new World({ seed: 1 });
  const chance = world.chance('latency');
  const pair = connectedPair({ world, source: 'pipe', latency: () => 1 + chance.integer(20), resets: () => resets });
  return { world, one: pair[0], other: pair[1] };
}

function textOf(end: PipeEnd): { text: string } {
  const read = { text: '' };
  end.on('data', (bytes: Buffer) => {
    read.text += bytes.toString();
  });
  return read;
}

test('bytes arrive later and in order, in both directions', async () => {
  const { world, one, other } = makePair();
  const [atOne, atOther] = [textOf(one), textOf(other)];
  for (const word of ['a', 'b', 'c']) one.write(word);
  other.write('x');
  world.after(5, 'writer', () => one.write('d'));
  expect(atOther.text).toBe('');
  await world.run(minute);
  expect([atOne.text, atOther.text]).toEqual(['x', 'abcd']);
  expect(world.elapsed).toBeGreaterThan(0);
});

test('an end that was ended can still read, and both close when both have ended', async () => {
  const { world, one, other } = makePair();
  const read = textOf(one);
  const events: string[] = [];
  other.on('end', () => events.push('end')).resume();
  one.on('close', () => events.push('close'));
  one.end('last words');
  await world.run(minute);
  expect(events).toEqual(['end']);
  other.end('answer');
  await world.run(2 * minute);
  expect(read.text).toBe('answer');
  expect(events).toEqual(['end', 'close']);
});

test('a writer waits while the reader does not read', async () => {
  const { world, one, other } = makePair();
  let sent = 0;
  const fill = () => one.write(Buffer.alloc(16 * 1024), (error) => error ?? fillMore());
  const fillMore = () => {
    sent += 1;
    if (sent < 1000) fill();
  };
  fill();
  await world.run(minute);
  expect(sent).toBeLessThan(10);
  world.after(0, 'reader', () => other.resume());
  await world.run(2 * minute);
  expect(sent).toBe(1000);
});

test('destroying one end ends the other', async () => {
  const { world, one, other } = makePair();
  const ended = finished(other, { writable: false });
  other.on('error', () => undefined).resume();
  one.destroy();
  await world.run(minute);
  await ended;
  const written = new Promise((resolve) => other.write('too late', resolve));
  expect(await written).toMatchObject({ code: 'EPIPE' });
});

test('destroying one end can reset the other, whatever is in flight', async () => {
  const { world, one, other } = makePair(true);
  const ended = finished(other);
  ended.catch(() => undefined);
  other.resume();
  one.write('lost');
  one.destroy();
  await world.run(minute);
  await expect(ended).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('a waiting writer gets an error when the reader is gone', async () => {
  const { world, one, other } = makePair();
  one.on('error', () => undefined);
  const written = new Promise((resolve) => one.write(Buffer.alloc(1 << 20), resolve));
  world.after(100, 'reader', () => other.destroy());
  await world.run(minute);
  expect(await written).toMatchObject({ code: 'EPIPE' });
});

test('the end of a dead process is silent, and the other end is closed', async () => {
  const { world, one, other } = makePair();
  const events: string[] = [];
  for (const name of ['data', 'end', 'close', 'error']) one.on(name, () => events.push(name));
  const ended = finished(other, { writable: false });
  other.resume();
  other.write('unheard');
  one.sever();
  await world.run(minute);
  await ended;
  expect(events).toEqual([]);
});
