// The answer of /readyz while the API server does not know a kind, over HTTP from a complete operator.
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { plainAccess } from '../../operator/kubernetes/cluster-access.ts';
import { Operator } from '../../operator/operator.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { until } from '../support/until.ts';

/** Pauses are a hundred times as short. */
const hastyClock: Clock = {
  now: systemClock.now,
  after: (milliseconds, task) => systemClock.after(milliseconds / 100, task),
};

/** Collections that the API server does not know. */
const unknown = new Set<string>();
let api: http.Server;
let operator: Operator;
let health: number | undefined;

beforeEach(async () => {
  unknown.clear();
  api = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://x');
    const isUnknown = unknown.has(pathname.split('/').at(-1) ?? '');
    response.writeHead(isUnknown ? 404 : 200, { 'content-type': 'application/json' });
    if (isUnknown) response.end('404 page not found\n');
    else if (searchParams.get('watch') === 'true') response.flushHeaders();
    else response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  operator = new Operator({
    access: plainAccess(new URL(`http://127.0.0.1:${(api.address() as AddressInfo).port}`)),
    election: { start: () => {}, stop: async () => {} },
    authenticator: { authenticate: async (nodeName) => ({ ok: true, nodeName }) },
    certificates: undefined,
    bindAddress: '127.0.0.1',
    agents: () => ({ listen: async () => ({ port: 0 }), useCertificate: () => {}, close: async () => {} }),
    ...{ healthPort: 0, heartbeatSeconds: 10, version: 'test', replica: 'r' },
    clock: hastyClock,
    random: () => 0.5,
    randomUUID,
    logger: pino({ level: 'silent' }),
  });
});

afterEach(async () => {
  await operator.stop();
  api.closeAllConnections();
  api.close();
});

const ask = async (path: string) => {
  const answer = await fetch(`http://127.0.0.1:${health}${path}`);
  return { code: answer.status, text: await answer.text() };
};

it.each(['linuxutilityvms', 'linuxutilityvmhosts'])(
  'is 503 while %s is deleted, and 200 once it is back',
  async (kind) => {
    ({ health } = await operator.start());
    await until('ready', async () => (await ask('/readyz')).code === 200);
    unknown.add(kind);
    api.closeAllConnections();
    await until('not ready', async () => (await ask('/readyz')).code === 503);
    expect((await ask('/readyz')).text).toContain('see whether their CustomResourceDefinitions exist');
    // The process is healthy, so a restart would not help.
    expect((await ask('/healthz')).code).toBe(200);
    unknown.clear();
    await until('ready again', async () => (await ask('/readyz')).code === 200);
  },
);

it('/readyz is 503 until everything was listed', async () => {
  unknown.add('linuxutilityvms');
  ({ health } = await operator.start());
  await until('the rest is known', async () =>
    (await ask('/readyz')).text.includes('unknown to the API server: machines;'),
  );
  expect((await ask('/readyz')).code).toBe(503);
  unknown.clear();
  await until('ready', async () => (await ask('/readyz')).code === 200);
});
