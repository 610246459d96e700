// Connections from the host to a guest through the pump, with other sockets in place of Hyper-V sockets. `npm run
// test:wine` runs this file too.
import type { Server } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RuntimeId } from '../../../../agent/node/backend.ts';
import { HyperVSockets } from '../../../../agent/windows/hvsock/sockets.ts';
import { describeGuestSockets } from '../../../support/agent/guest-sockets-contract.ts';
import { loadWinsock, type WinsockDouble } from '../../../support/doubles/winsock.ts';

/** WSAEWOULDBLOCK: connecting has begun. */
const begun = 10035;

let double: WinsockDouble;
/** Other tests of this process may have left sockets open on purpose. */
let openBefore: number;
beforeAll(async () => {
  double = await loadWinsock();
  openBefore = double.openSockets();
});

async function start() {
  const sockets = await HyperVSockets.start(double.path);
  const servers: Server[] = [];
  const runtimeId = crypto.randomUUID() as RuntimeId;
  return {
    sockets,
    runtimeId,
    listen: async (port: number, serve: Parameters<WinsockDouble['listen']>[2]) => {
      servers.push(await double.listen(runtimeId, port, (socket) => serve(socket.on('error', () => undefined))));
    },
    hang: async () => double.failNext('connect', begun),
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.close();
      await sockets.close();
    },
  };
}

describeGuestSockets('Hyper-V sockets', start);

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

it('a connection that fails says why', async () => {
  await using tested = await start();
  const connect = () => failureOf(tested.sockets.connect(tested.runtimeId, 80, AbortSignal.timeout(10_000)));
  expect(await connect()).toMatchObject({
    code: 'ECONNREFUSED',
    message: 'connect: WSAECONNREFUSED (10061): no program of the guest listens on this port',
  });
  double.failNext('connect', 10013);
  expect(await connect()).toMatchObject({ code: 'EACCES', message: expect.stringContaining('connect security') });
  double.failNext('socket', 10047);
  expect(await connect()).toMatchObject({ code: 'EAFNOSUPPORT' });
});

it('a connection that is refused after a while is noticed without an event, as on older Windows', async () => {
  await using tested = await start();
  double.failNext('connect', begun);
  const connecting = failureOf(tested.sockets.connect(tested.runtimeId, 80, AbortSignal.timeout(10_000)));
  // The pump has begun to connect once it has answered this, which it was sent later.
  await (await tested.sockets.listen(tested.runtimeId, 1)).close();
  double.failNext('getsockopt', 10061);
  expect(await connecting).toMatchObject({ code: 'ECONNREFUSED' });
});

it('connections that are being made end with their sockets, and leave none open', async () => {
  const before = double.openSockets();
  const tested = await start();
  double.failNext('connect', begun);
  const connecting = failureOf(tested.sockets.connect(tested.runtimeId, 80, AbortSignal.timeout(10_000)));
  await tested.sockets.close();
  expect(await connecting).toMatchObject({ message: 'the sockets were closed' });
  expect(double.openSockets()).toBe(before);
});

afterAll(() => expect(double.openSockets()).toBe(openBefore));
