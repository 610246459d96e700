// Strangers at the port for agents: whatever they do with their connections, an agent with a token can connect.
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { Readable } from 'node:stream';
import tls from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { AgentAuthenticator } from '../../../operator/agents/authentication.ts';
import { AgentDoor } from '../../../operator/agents/door.ts';
import { AgentServer } from '../../../operator/agents/server.ts';
import { Sessions } from '../../../operator/agents/sessions.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { agentsPath, subprotocol } from '../../../protocol/messages.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { until } from '../../support/operator/fixture.ts';
import { ScriptedAgent } from '../../support/operator/scripted-agent.ts';

/** Shorter than in production, so that a test can wait for it. */
const patience = 1_000;
const pool = { silent: 64, waiting: 64, speaking: 64 } as const;

const authenticator: AgentAuthenticator = {
  authenticate: async (bearer) =>
    bearer.startsWith('node-')
      ? { ok: true, nodeName: bearer }
      : { ok: false, retry: false, message: 'no token of ours' },
};

let certificates: Certificates;
let server: AgentServer;
let port: number;
const sockets: Socket[] = [];

beforeAll(async () => {
  certificates = await makeCertificates();
});

beforeEach(async () => {
  const sessions = new Sessions({ live: () => {}, ended: () => {} }, () => true);
  const logger = pino({ level: 'silent' });
  const ports = {
    clock: systemClock,
    logger,
    observer: { received: () => {}, sent: () => {}, misbehaved: () => {} },
    inventory: new Inventory(systemClock),
    replica: 'replica-1',
    heartbeatSeconds: 10,
    accept: () => Promise.resolve({ ok: true, epoch: 1 } as const),
    networks: () => {},
    desired: () => Readable.from([]),
  };
  server = new AgentServer({
    clock: systemClock,
    logger,
    door: new AgentDoor({
      clock: systemClock,
      logger,
      service: () => ({ ports, sessions }),
      authenticator,
    }),
    tls: true,
    bindAddress: '0.0.0.0',
    port: 0,
    arrivals: { ...pool, milliseconds: patience },
  });
  server.useCertificate(certificates.serving);
  port = (await server.listen()).port;
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
});

function keep<T extends Socket>(socket: T): T {
  sockets.push(socket);
  return socket.on('error', () => {});
}

async function connect(localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = keep(net.connect({ port, host: '127.0.0.1', localAddress }));
  await once(socket, 'connect');
  return socket;
}

async function secure(localAddress?: string): Promise<tls.TLSSocket> {
  const socket = keep(tls.connect({ socket: await connect(localAddress), ca: certificates.authority }));
  await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), closed(socket)]);
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
}

/** Milliseconds from now until the connection has ended. */
async function lifetime(socket: Socket): Promise<number> {
  const begun = performance.now();
  socket.resume();
  await closed(socket);
  return performance.now() - begun;
}

/** A complete dial of an agent, up to the end of its desired state. */
async function dial(node: string, localAddress = '127.0.0.1'): Promise<ScriptedAgent> {
  const agent = new ScriptedAgent();
  const socket = new WebSocket(`wss://127.0.0.1:${port}${agentsPath}`, [subprotocol], {
    ca: certificates.authority,
    headers: { authorization: `Bearer ${node}` },
    localAddress,
  });
  await once(socket, 'open');
  agent.attach(socket);
  agent.hello();
  await until(() => agent.receivedOf('desired').length === 1);
  return agent;
}

const request = (token: string) =>
  `GET ${agentsPath} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
  `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n` +
  `Authorization: Bearer ${token}\r\n\r\n`;

/** Sends a byte at a time until the connection ends. */
function trickle(socket: Socket, bytes: Buffer): void {
  let sent = 0;
  const timer = setInterval(() => socket.write(bytes.subarray(sent % bytes.length, (sent++ % bytes.length) + 1)), 20);
  socket.once('close', () => clearInterval(timer));
}

/** The recorded first message of a real TLS client. */
async function clientHello(): Promise<Buffer> {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const client = keep(tls.connect({ port: address.port, host: '127.0.0.1' }));
  const [socket] = await accepted;
  const [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  listener.close();
  return hello;
}

describe('a stranger is disconnected in time', () => {
  // A machine that is busy notices late.
  const within = (milliseconds: number) => {
    expect(milliseconds).toBeLessThan(patience + 10_000);
  };

  it('if it sends nothing', async () => {
    within(await lifetime(await connect()));
  });

  it('if its handshake arrives byte by byte, or stops half-way', async () => {
    const hello = await clientHello();
    const slow = await connect();
    trickle(slow, hello);
    const half = await connect();
    half.write(hello.subarray(0, hello.length - 1));
    const silentAfterwards = await connect();
    silentAfterwards.write(hello);
    const lifetimes = await Promise.all([slow, half, silentAfterwards].map(lifetime));
    for (const each of lifetimes) within(each);
  });

  it('if it completes TLS and sends no request, or sends one byte by byte', async () => {
    const silent = await secure();
    const slow = await secure();
    trickle(slow, Buffer.from(`GET / HTTP/1.1\r\nX: ${'x'.repeat(4_000)}\r\n`));
    within(await lifetime(silent));
    within(await lifetime(slow));
  });

  it.each([
    ['a request that no agent sends', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n'],
    ['another path', request('node-a').replace(agentsPath, '/other')],
    ['no token', request('node-a').replace(/Authorization.*\r\n/, '')],
    ['a bad token', request('stranger')],
    ['a body without an end', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a WebSocket handshake without a key', request('node-a').replace(/Sec-WebSocket-Key.*\r\n/, '')],
  ])('if it keeps the connection after %s', async (_name, text) => {
    const socket = await secure();
    socket.allowHalfOpen = true;
    const again = setInterval(() => socket.writable && socket.write(text), 50);
    socket.write(text);
    within(await lifetime(socket));
    clearInterval(again);
  });

  it('at once if it does not speak TLS, or sends more than a first message', async () => {
    const begun = performance.now();
    const plain = await connect();
    plain.write(request('node-a'));
    const garrulous = await connect();
    garrulous.write(Buffer.concat([await clientHello(), Buffer.alloc(16_384)]));
    await Promise.all([lifetime(plain), lifetime(garrulous)]);
    expect(performance.now() - begun).toBeLessThan(patience);
  });
});

describe('an agent can connect', () => {
  it.each<[string, (index: number) => Promise<Socket>]>([
    ['idle connections', () => connect()],
    ['idle connections from many addresses', (index) => connect(`127.0.1.${1 + index}`)],
    ['idle connections over TLS', () => secure()],
  ])('beside %s, from the same address and from another one, and stays connected', async (_name, open) => {
    // Twice as many as the pool holds. The ones to be evicted can go before they are open.
    const opening = Array.from({ length: 2 * pool.silent }, (_, index) => open(index).catch(() => undefined));
    const agents = await Promise.all([dial('node-a'), dial('node-b', '127.0.0.2')]);
    const strangers = await Promise.all(opening);
    await Promise.all(strangers.map((socket) => socket && lifetime(socket)));
    expect(agents.every(({ isOpen }) => isOpen)).toBe(true);
    await Promise.all(agents.map((agent) => agent.disconnect()));
  });

  it('even if it is slow to show its token, beside idle connections from its own address', async () => {
    const slow = await connect();
    const hello = await clientHello();
    slow.write(hello.subarray(0, 10));
    await Promise.all(Array.from({ length: 16 }, () => connect()));
    expect(slow.closed).toBe(false);
    const socket = await secure();
    await Promise.all(Array.from({ length: 4 * pool.silent }, () => connect()));
    socket.write(request('node-a'));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toContain('101 Switching Protocols');
  });
});
