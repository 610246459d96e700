import { existsSync } from 'node:fs';
import { link, mkdtemp, rm, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedGuestSockets } from '../../../simulator/client/guest-sockets.ts';
import { guestSocketPath } from '../../../simulator/wire/guest-address.ts';
import { runtimeId } from '../../../simulator/wire/rpc.ts';
import { until } from '../../support/until.ts';

const machine = runtimeId.parse('a7ab7a4c-8d2c-4c6e-9d7e-0e7c2f7b1a11');
const bound = () => AbortSignal.timeout(10_000);

describe('guest sockets', () => {
  let folder: string;
  let path: string;
  let sockets: SimulatedGuestSockets;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gs-'));
    path = guestSocketPath(folder, machine, 109);
    sockets = new SimulatedGuestSockets(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('return connections in the order in which they arrived, including earlier ones', async () => {
    const listener = await sockets.listen(machine, 109);
    const first = connect(path);
    first.write('1');
    const early = await listener.accept(bound());
    const pending = listener.accept(bound());
    const second = connect(path);
    second.write('2');
    const read = async (stream: typeof early) =>
      String(
        await stream[Symbol.asyncIterator]()
          .next()
          .then((x) => x.value),
      );
    expect(await read(early)).toBe('1');
    expect(await read(await pending)).toBe('2');
    await listener.close();
    first.destroy();
    second.destroy();
  });

  it('reject pending accepts when the signal aborts or the listener closes', async () => {
    const listener = await sockets.listen(machine, 109);
    const abort = new AbortController();
    const given = listener.accept(abort.signal);
    abort.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    await expect(listener.accept(abort.signal)).rejects.toThrow('enough');
    const waiting = listener.accept(bound());
    await listener.close();
    await listener.close();
    await expect(waiting).rejects.toThrow('closed');
    await expect(listener.accept(bound())).rejects.toThrow('closed');
    expect(existsSync(path)).toBe(false);
  });

  it('destroy connections that nobody accepted', async () => {
    const listener = await sockets.listen(machine, 109);
    const guest = connect(path);
    guest.resume();
    const closed = new Promise((resolve) => guest.once('close', resolve));
    const accepted = new Promise((resolve) => guest.once('connect', resolve));
    await accepted;
    await listener.close();
    guest.end();
    await closed;
  });

  it('replace what a killed process left behind, and nothing that is in use', async () => {
    const listener = await sockets.listen(machine, 109);
    await expect(sockets.listen(machine, 109)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await listener.close();
    await leaveStaleSocket(path);
    const again = await sockets.listen(machine, 109);
    const guest = connect(path);
    (await again.accept(bound())).destroy();
    guest.destroy();
    await again.close();
  });

  it('refuse a folder whose path is too long', () => {
    expect(() => guestSocketPath(`/${'x'.repeat(90)}`, machine, 1)).toThrow('shorter than 100 bytes');
  });
});

/** Leaves what a process leaves that dies before it can unlink: the name of a socket that no longer exists. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await link(path, `${path}.kept`);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await link(`${path}.kept`, path);
  await unlink(`${path}.kept`);
  await until('the name is there', () => existsSync(path));
}
