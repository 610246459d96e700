// The operator's /healthz and /metrics while strangers connect: the kubelet ends an operator whose probe fails.
import { once } from 'node:events';
import net, { isIPv6, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Gauge, Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HealthServer } from '../../../operator/metrics/health.ts';
import { systemClock } from '../../../runtime/clock.ts';

let server: HealthServer;
let port: number;
let collections: number;
let isBroken: boolean;
const sockets: Socket[] = [];

beforeEach(async () => {
  collections = 0;
  isBroken = false;
  const registry = new Registry();
  const collect = () => {
    collections += 1;
    if (isBroken) throw new Error('planted');
  };
  new Gauge({ name: 'some', help: 'Some.', registers: [registry], collect });
  server = new HealthServer({
    clock: systemClock,
    bindAddress: '127.0.0.1',
    port: 0,
    metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    notReady: () => undefined,
  });
  port = (await server.listen()).port;
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
});

async function connect(text = ''): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1' }).on('error', () => {});
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

const probe = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;

it.each([
  ['say nothing', ''],
  ['say half a header', 'GET /healthz HTTP/1.1\r\nHost'],
  ['keep their connections', 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n'],
  ['have a body without an end', 'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n'],
])('probes and metrics are answered beside 500 strangers who %s', async (_name, text) => {
  await Promise.all(Array.from({ length: 500 }, () => connect(text)));
  for (let each = 0; each < 5; each += 1) {
    expect(await Promise.all(['/healthz', '/readyz', '/metrics'].map(probe))).toEqual([200, 200, 200]);
  }
});

it('metrics are collected once a second, however many clients ask', async () => {
  const begun = performance.now();
  await Promise.all(Array.from({ length: 50 }, () => probe('/metrics')));
  expect(collections).toBeLessThanOrEqual(1 + Math.floor((performance.now() - begun) / 1_000));
});

it('a failure to write metrics is reported, and later requests are served', async () => {
  isBroken = true;
  expect(await probe('/metrics')).toBe(500);
  expect(await probe('/healthz')).toBe(200);
});

it('the operator answers at every address of the machine by default, for kubelets of either IP family', async () => {
  const everywhere = new HealthServer({
    ...{ clock: systemClock, bindAddress: undefined, port: 0, metrics: undefined },
    notReady: () => undefined,
  });
  const { port: anywhere } = await everywhere.listen();
  const addresses = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .flatMap(({ address, internal }) => (internal ? [address] : []));
  expect(addresses).toContain('127.0.0.1');
  for (const address of addresses) {
    const host = isIPv6(address) ? `[${address}]` : address;
    expect((await fetch(`http://${host}:${anywhere}/healthz`)).status, address).toBe(200);
  }
  await everywhere.close();
});
