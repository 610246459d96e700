// The cost of a connection before its sender is known.
import { once } from 'node:events';
import net from 'node:net';
import { expect, it } from 'vitest';
import { systemClock } from '../../../runtime/clock.ts';
import { Arrivals } from '../../../runtime/connections/arrivals.ts';
import { greetingBytesMaximum } from '../../../runtime/connections/greeting.ts';

it('a first message that arrives byte by byte is assembled in linear time, and passed on whole', async () => {
  const word = Buffer.alloc(greetingBytesMaximum - 1, 'x');
  word.set([22, 3, 1]);
  word.writeUInt16BE(word.length - 5, 3);
  const served = Promise.withResolvers<net.Socket>();
  const bounds = { milliseconds: 60_000 };
  const arrivals = new Arrivals({ clock: systemClock, tls: true, serve: served.resolve, bounds });
  const listener = net.createServer((socket) => arrivals.arrive(socket)).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const stranger = net.connect({ port: address.port, host: '127.0.0.1', noDelay: true });
  await once(stranger, 'connect');
  const before = process.cpuUsage();
  for (const byte of word) {
    stranger.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const socket = await served.promise;
  const { user } = process.cpuUsage(before);
  // In microseconds. Concatenating the pieces took ten seconds.
  expect(user).toBeLessThan(3_000_000);
  const read: unknown = socket.read();
  expect(Buffer.isBuffer(read) && read.equals(word)).toBe(true);
  arrivals.destroy();
  stranger.destroy();
  listener.close();
}, 60_000);
