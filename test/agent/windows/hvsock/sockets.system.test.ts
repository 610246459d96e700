// Hyper-V sockets through the pump, with other sockets in place of them: guests dial as on Windows. `npm run test:wine`
// runs this file too.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RuntimeId } from '../../../../agent/node/backend.ts';
import { HyperVSockets } from '../../../../agent/windows/hvsock/sockets.ts';
import { loadWinsock, type WinsockDouble } from '../../../support/doubles/winsock.ts';
import { until } from '../../../support/until.ts';

let library: string;
let failNext: WinsockDouble['failNext'];
let openSockets: WinsockDouble['openSockets'];
let dialAs: WinsockDouble['dial'];
let sockets: HyperVSockets;
/** Sockets of a pump that died. The kernel keeps them until the process ends. */
let leaked = 0;
let runtimeId: RuntimeId;
const never = new AbortController().signal;

beforeAll(async () => {
  ({ path: library, failNext, openSockets, dial: dialAs } = await loadWinsock());
});
beforeEach(async () => {
  runtimeId = crypto.randomUUID() as RuntimeId;
  sockets = await HyperVSockets.start(library);
});
afterEach(async () => {
  await sockets.close();
  expect(openSockets()).toBe(leaked);
});

function dial(port: number): Socket {
  const guest = dialAs(runtimeId, port);
  // A connection that is cut off with unread bytes is reset.
  return guest.on('error', () => {});
}

async function connection(port = 109): Promise<{ host: Duplex; guest: Socket }> {
  const listener = await sockets.listen(runtimeId, port);
  const guest = dial(port);
  const host = await listener.accept(never);
  await listener.close();
  return { host, guest };
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a listener', () => {
  it('returns connections in the order in which they arrive, whether accept is called before or after', async () => {
    const listener = await sockets.listen(runtimeId, 1);
    const accepted = listener.accept(never);
    const guests = [];
    for (const name of ['first', 'second', 'third']) {
      const guest = dial(1);
      await once(guest, 'connect');
      guest.end(name);
      guests.push(guest);
    }
    const hosts = [await accepted, await listener.accept(never), await listener.accept(never)];
    expect(await Promise.all(hosts.map((host) => buffer(host).then(String)))).toEqual(['first', 'second', 'third']);
    for (const each of [...hosts, ...guests]) each.destroy();
  });

  it('is for one VM and one port', async () => {
    await sockets.listen(runtimeId, 1);
    for (const refused of [dial(2)])
      expect(await failureOf(once(refused, 'connect'))).toMatchObject({ code: 'ECONNREFUSED' });
    expect(await failureOf(sockets.listen(runtimeId, 1))).toMatchObject({ code: 'EADDRINUSE' });
    await sockets.listen(runtimeId, 2);
  });

  it('stops waiting when told to, or when it is closed', async () => {
    const listener = await sockets.listen(runtimeId, 1);
    const abort = new AbortController();
    const aborted = failureOf(listener.accept(abort.signal));
    const closed = failureOf(listener.accept(never));
    abort.abort(new Error('enough'));
    expect(await aborted).toMatchObject({ message: 'enough' });
    await Promise.all([listener.close(), listener.close()]);
    expect(await closed).toMatchObject({ message: 'the listener was closed' });
    expect(await failureOf(listener.accept(never))).toMatchObject({ message: 'the listener was closed' });
  });

  it('frees its address when it is closed, and ends connections that were not accepted', async () => {
    const listener = await sockets.listen(runtimeId, 1);
    const guest = dial(1);
    await once(guest, 'connect');
    // The connection is refused or cut off, depending on how far it came.
    guest.resume();
    const over = new Promise((resolve) => guest.once('end', resolve).once('close', resolve));
    await listener.close();
    await over;
    guest.destroy();
    await (await sockets.listen(runtimeId, 1)).close();
  });

  it('reports why it cannot be opened', async () => {
    failNext('bind', 10013);
    expect(await failureOf(sockets.listen(runtimeId, 1))).toMatchObject({
      code: 'EACCES',
      message: expect.stringContaining('must run elevated'),
    });
    failNext('socket', 10047);
    expect(await failureOf(sockets.listen(runtimeId, 1))).toMatchObject({ code: 'EAFNOSUPPORT' });
    failNext('listen', 10022);
    expect(await failureOf(sockets.listen(runtimeId, 1))).toMatchObject({ code: 'EINVAL' });
    failNext('bind', 12345);
    expect(await failureOf(sockets.listen(runtimeId, 1))).toMatchObject({ message: 'bind: Winsock error (12345)' });
  });

  it('survives a caller that went away', async () => {
    const listener = await sockets.listen(runtimeId, 1);
    failNext('accept', 10054);
    const guest = dial(1);
    const host = await listener.accept(never);
    for (const each of [guest, host]) each.destroy();
  });
});

describe('a connection', () => {
  it('carries bytes in both directions, and closes each direction separately', async () => {
    const { host, guest } = await connection();
    const sent = Buffer.alloc(8 << 20, 'hello guest ');
    const atGuest = buffer(guest);
    host.end(sent);
    expect((await atGuest).equals(sent)).toBe(true);
    const answer = Buffer.alloc(8 << 20, 'hello host ');
    const atHost = buffer(host);
    guest.end(answer);
    expect((await atHost).equals(answer)).toBe(true);
  });

  it('holds back a guest whose data is not read', async () => {
    const { host, guest } = await connection();
    const chunk = Buffer.alloc(64 << 10);
    let written = 0;
    const write = () => {
      while (written < 64 << 20) {
        written += chunk.byteLength;
        if (!guest.write(chunk)) break;
      }
    };
    guest.on('drain', write);
    write();
    await new Promise((resolve) => setTimeout(resolve, 200));
    // At most the buffers of two sockets; the rest is held back.
    expect(written).toBeLessThan(8 << 20);
    let read = 0;
    for await (const bytes of host) {
      read += bytes.byteLength;
      if (read === 64 << 20) guest.end();
    }
    expect(read).toBe(64 << 20);
    for (const each of [guest, host]) each.destroy();
  });

  it('does not let a stalled guest delay others', async () => {
    const stalled = await connection(1);
    const other = await connection(2);
    stalled.host.write(Buffer.alloc(4 << 20));
    const atGuest = once(other.guest, 'data');
    other.host.write('ping');
    expect(String((await atGuest)[0])).toBe('ping');
    for (const each of [stalled, other]) {
      each.host.on('error', () => {});
      each.host.destroy();
      each.guest.destroy();
    }
  });

  it('reports that a guest is gone', async () => {
    const { host, guest } = await connection();
    failNext('recv', 10054);
    guest.write('x');
    host.resume();
    const [error] = await once(host, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET', message: 'recv: WSAECONNRESET (10054)' });
    guest.destroy();
  });

  it('that is destroyed is closed for the guest', async () => {
    const { host, guest } = await connection();
    host.destroy();
    guest.resume();
    await once(guest, 'end');
    guest.destroy();
  });

  it('ends with its sockets', async () => {
    const { host, guest } = await connection();
    const failed = once(host, 'error');
    await sockets.close();
    expect((await failed)[0]).toMatchObject({ message: 'the sockets were closed' });
    expect(await failureOf(sockets.listen(runtimeId, 1))).toMatchObject({ message: 'the sockets are closed' });
    guest.destroy();
  });

  it('answers at once, although the pump sleeps', async () => {
    const { host, guest } = await connection();
    guest.on('data', (bytes) => guest.write(bytes));
    const times: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const began = performance.now();
      host.write('ping');
      await once(host, 'data');
      times.push(performance.now() - began);
    }
    // The pump would wake up by itself after 250 ms.
    expect(times.sort((a, b) => a - b)[10]).toBeLessThan(100);
    for (const each of [guest, host]) each.destroy();
  });

  it('leaves the pump asleep when a guest has hung up and there is no work', async () => {
    const { host, guest } = await connection();
    guest.end();
    host.resume();
    await once(host, 'end');
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(100);
    host.destroy();
  });
});

describe('many connections', () => {
  it('are not mixed up: 100 at the same time', async () => {
    const listener = await sockets.listen(runtimeId, 109);
    const texts = Array.from({ length: 100 }, (_, index) => `${index}:${'x'.repeat(index * 1000)}`);
    const pairs: { readonly guest: Socket; readonly host: Duplex }[] = [];
    while (pairs.length < texts.length) {
      const guest = dial(109);
      pairs.push({ guest, host: await listener.accept(never) });
    }
    const heard = pairs.map(async ({ host }) => {
      const bytes = await buffer(host);
      host.end();
      return String(bytes);
    });
    for (const [index, { guest }] of pairs.entries()) guest.resume().end(texts[index] ?? '');
    expect(await Promise.all(heard)).toEqual(texts);
    await until('all are closed', () => openSockets() <= leaked + 2);
  });
});

describe('a pump', () => {
  it('is woken by a new connection, by data, by free buffer space, by a hang-up, and by its own thread', async () => {
    const { sleepUntilWoken, wakings } = await loadWinsock();
    // From here on the pump wakes up only when it is woken.
    sleepUntilWoken(true);
    try {
      // The pump can already be in a bounded sleep.
      await (await sockets.listen(runtimeId, 1)).close();
      const before = wakings();
      for (let round = 0; round < 10; round += 1) {
        const listener = await sockets.listen(runtimeId, 109);
        const accepted = listener.accept(never);
        const guest = dial(109);
        const host = await accepted;
        const sent = Buffer.alloc(1 << 20, 'hello ');
        const atHost = buffer(host);
        guest.end(sent);
        expect((await atHost).equals(sent)).toBe(true);
        const atGuest = buffer(guest);
        host.end(sent);
        expect((await atGuest).equals(sent)).toBe(true);
        await listener.close();
      }
      await until('all are closed', () => openSockets() <= leaked + 1);
      const after = wakings();
      expect(after.bySocket - before.bySocket).toBeGreaterThan(50);
      expect(after.byIdleTime).toBe(before.byIdleTime);
    } finally {
      sleepUntilWoken(false);
    }
  });

  it('that cannot start reports why', async () => {
    await expect(HyperVSockets.start('/none/ws2_32.dll')).rejects.toThrow('Failed to load shared library');
  });

  it('that dies ends all of its sockets', async () => {
    // Otherwise another pump could meet the planned failure instead.
    await sockets.close();
    const own = await HyperVSockets.start(library);
    const listener = await own.listen(runtimeId, 7);
    const accepting = failureOf(listener.accept(never));
    failNext('WSAPoll', 10050);
    // The next turn is the last one of this pump.
    const listening = failureOf(own.listen(runtimeId, 8));
    const died = { message: 'the thread of the Hyper-V sockets died' };
    expect(await accepting).toMatchObject(died);
    await listening;
    expect(await failureOf(own.listen(runtimeId, 9))).toMatchObject(died);
    await listener.close();
    await own.close();
    leaked = openSockets();
  });
});
