// The cost of a connection before its sender is known.
import { once } from 'node:events';
import net from 'node:net';
import { expect, it, vi } from 'vitest';
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

it('a connection that waits for its turn too long is closed instead of served', async () => {
  const due = new Set<() => void>();
  const after = (_milliseconds: number, task: () => void) => {
    due.add(task);
    return { cancel: () => due.delete(task) };
  };
  /** Each timer of an arrival lasts half of its time. */
  const passHalf = () => {
    const tasks = [...due];
    due.clear();
    for (const task of tasks) task();
  };
  const served: net.Socket[] = [];
  const serve = (socket: net.Socket) => {
    served.push(socket);
    // The first handshake takes this long. The others wait, because their first bytes have arrived.
    if (served.length === 1) passHalf();
  };
  const arrivals = new Arrivals({ clock: { now: Date.now, after }, tls: false, serve });
  const accepted: net.Socket[] = [];
  const listener = net.createServer((socket) => accepted.push(socket)).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const peers = Array.from({ length: 6 }, () => net.connect({ port, host: '127.0.0.1' }));
  await Promise.all(peers.map((peer) => new Promise((resolve) => peer.write('GET / HTTP/1.1\r\n', resolve))));
  await vi.waitFor(() => expect(accepted.length).toBe(peers.length));
  for (const peer of peers) peer.on('error', () => peer.destroy());
  for (const socket of accepted) arrivals.arrive(socket);
  await vi.waitFor(() => expect(accepted.filter(({ destroyed }) => destroyed)).toHaveLength(5));
  expect(served).toHaveLength(1);
  passHalf();
  expect(served[0]?.destroyed).toBe(true);
  await vi.waitFor(() => expect(arrivals.size).toBe(0));
  listener.close();
});
