import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { isConflict, isNotFound } from '../../../operator/kubernetes/api-error.ts';
import { type ClusterAccess, plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { type EventRecord, EventRecorder } from '../../../operator/kubernetes/events.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { until } from '../../support/operator/fixture.ts';
import { someUid } from '../../support/operator/objects.ts';

const hastyClock: Clock = {
  now: systemClock.now,
  after: (milliseconds, task) => systemClock.after(milliseconds / 100, task),
};

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

let server: http.Server | undefined;
let sockets = 0;

afterEach(async () => {
  server?.close();
  server?.closeAllConnections();
});

async function serve(
  answer: (request: Received, response: http.ServerResponse) => void,
): Promise<{ url: URL; received: Received[] }> {
  const received: Received[] = [];
  sockets = 0;
  server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const each = { method: request.method, url: request.url, headers: request.headers, body };
      received.push(each);
      answer(each, response);
    });
  });
  server.on('connection', () => {
    sockets += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), received };
}

const reply = (response: http.ServerResponse, code: number, body: object, headers: http.OutgoingHttpHeaders = {}) =>
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

function* endlessly(piece: Buffer): Generator<Buffer> {
  for (;;) yield piece;
}

const client = (access: ClusterAccess) =>
  new KubeHttp({ access, clock: hastyClock, random: () => 0.5, version: '1.2.3' });

describe('KubeHttp', () => {
  it('uses few connections for many reads, and never more than its pool has', async () => {
    const { url, received } = await serve((_request, response) => reply(response, 200, {}));
    const http = client(plainAccess(url));
    for (let each = 0; each < 50; each += 1) await http.request({ method: 'GET', path: '/api' });
    expect(sockets).toBeLessThanOrEqual(2);
    await Promise.all(Array.from({ length: 200 }, () => http.request({ method: 'GET', path: '/api' })));
    expect(sockets).toBeLessThanOrEqual(16);
    expect(received[0]?.headers['user-agent']).toBe('lcow-operator/1.2.3');
  });

  it('repeats reads that can succeed later, and gives up after a while', async () => {
    let requests = 0;
    const { url } = await serve((_request, response) => {
      requests += 1;
      if (requests === 1) response.destroy();
      else if (requests === 2) reply(response, 429, { code: 429, reason: 'TooManyRequests' }, { 'retry-after': '1' });
      else if (requests === 3) reply(response, 503, {});
      else reply(response, 200, { items: 1 });
    });
    expect(await client(plainAccess(url)).request({ method: 'GET', path: '/' })).toEqual({
      ok: true,
      value: { items: 1 },
    });
    requests = -100;
    const failing = await serve((_request, response) =>
      reply(response, 500, { reason: 'InternalError', message: 'no' }),
    );
    const outcome = await client(plainAccess(failing.url)).request({ method: 'GET', path: '/' });
    expect(outcome).toMatchObject({
      ok: false,
      error: { code: 500, reason: 'InternalError', message: 'no', retryable: true },
    });
    expect(failing.received).toHaveLength(5);
  });

  it('reads no endless line and no endless refusal of an answer that continues', async () => {
    const piece = Buffer.alloc(1 << 20, 'x');
    const { url } = await serve(({ url: path }, response) => {
      response.writeHead(path === '/refused' ? 500 : 200);
      Readable.from(endlessly(piece))
        .on('error', () => {})
        .pipe(response);
    });
    const http = client(plainAccess(url));
    const opened = await http.lines({ method: 'GET', path: '/watched' });
    if (!opened.ok) throw new Error(opened.error.message);
    const lines = opened.value[Symbol.asyncIterator]();
    await expect(lines.next()).rejects.toThrow('a line of the answer is too long');
    expect(await http.lines({ method: 'GET', path: '/refused' })).toMatchObject({ ok: false, error: { code: 500 } });
  });

  it('never repeats a write', async () => {
    const { url, received } = await serve((_request, response) => reply(response, 500, {}));
    await client(plainAccess(url)).request({ method: 'PUT', path: '/x', body: { a: 1 } });
    expect(received.map(({ body }) => body)).toEqual(['{"a":1}']);
    const broken = await serve((_request, response) => response.destroy());
    expect(await client(plainAccess(broken.url)).request({ method: 'PUT', path: '/x', body: {} })).toMatchObject({
      error: { code: 0, reason: 'ConnectionFailed', retryable: true },
    });
    expect(broken.received).toHaveLength(1);
  });

  it('aborts a request while it waits for a connection, and fails when an answer breaks off', async () => {
    const { url, received } = await serve(({ url: path }, response) => {
      if (path === '/broken')
        response.writeHead(200, { 'content-length': 100 }).write('{"half":', () => response.destroy());
    });
    const http = client(plainAccess(url));
    expect(await http.request({ method: 'PUT', path: '/broken', body: {} })).toMatchObject({
      error: { reason: 'MalformedResponse' },
    });
    const given = new AbortController();
    const waiting = Array.from({ length: 20 }, () => http.request({ method: 'GET', path: '/', signal: given.signal }));
    await until(() => received.length === 17);
    given.abort();
    for (const outcome of await Promise.all(waiting)) expect(outcome).toMatchObject({ error: { reason: 'Aborted' } });
    expect(received).toHaveLength(17);
    expect(await http.request({ method: 'GET', path: '/', signal: given.signal })).toMatchObject({
      error: { reason: 'Aborted' },
    });
  });

  it('gives up when nothing arrives for long', async () => {
    const { url } = await serve(() => undefined);
    const write = { method: 'PUT', path: '/', body: {}, idleMilliseconds: 300 } as const;
    expect(await client(plainAccess(url)).request(write)).toMatchObject({ error: { reason: 'ConnectionFailed' } });
  });

  it('does not send a write that was allowed when it was requested and is not when it could be sent', async () => {
    const { url, received } = await serve((_request, response) => reply(response, 200, {}));
    const connected = Promise.withResolvers<void>();
    const plain = plainAccess(url);
    const access: ClusterAccess = {
      server: url,
      credentials: (fresh) => connected.promise.then(() => plain.credentials(fresh)),
    };
    let leads = true;
    const options = { access, clock: hastyClock, random: () => 0.5, version: '1.2.3', mayWrite: () => leads };
    const write = new KubeHttp(options).request({ method: 'PUT', path: '/x', body: {} });
    leads = false;
    connected.resolve();
    expect(await write).toMatchObject({ ok: false, error: { reason: 'Fenced', retryable: true } });
    expect(received).toEqual([]);
    expect((await new KubeHttp(options).request({ method: 'GET', path: '/x' })).ok).toBe(true);
  });

  it('reads its credentials again when they are refused', async () => {
    const { url, received } = await serve(({ headers }, response) =>
      reply(response, headers.authorization === 'Bearer new' ? 200 : 401, {}),
    );
    const pools = await plainAccess(url).credentials(false);
    const access: ClusterAccess = {
      server: url,
      credentials: (fresh) =>
        Promise.resolve({ ...pools, headers: { authorization: fresh ? 'Bearer new' : 'Bearer old' } }),
    };
    expect((await client(access).request({ method: 'GET', path: '/' })).ok).toBe(true);
    expect(received).toHaveLength(2);
  });

  it('distinguishes a missing object from a kind that is not served', async () => {
    const answers = [
      { code: 404, reason: 'NotFound', details: { name: 'vm', kind: 'linuxutilityvms' } },
      { code: 404, reason: 'NotFound', details: {} },
      {},
    ];
    const { url } = await serve((_request, response) => reply(response, 404, answers.shift() ?? {}));
    const http = client(plainAccess(url));
    const verdicts: boolean[] = [];
    for (let each = 0; each < 3; each += 1) {
      const outcome = await http.request({ method: 'GET', path: '/' });
      verdicts.push(!outcome.ok && isNotFound(outcome.error));
    }
    expect(verdicts).toEqual([true, false, false]);
  });

  it('has separate errors for invalid JSON, no answer and a conflict', async () => {
    const { url } = await serve(({ url: path }, response) => {
      if (path === '/html') response.end('<html>');
      else reply(response, 409, { code: 409, reason: 'Conflict', message: 'modified' });
    });
    const http = client(plainAccess(url));
    expect(await http.request({ method: 'POST', path: '/html', body: {} })).toMatchObject({
      error: { reason: 'MalformedResponse' },
    });
    const conflict = await http.request({ method: 'PUT', path: '/', body: {} });
    expect(!conflict.ok && isConflict(conflict.error)).toBe(true);
    server?.close();
    server?.closeAllConnections();
    expect(await http.request({ method: 'PUT', path: '/', body: {} })).toMatchObject({
      error: { code: 0, reason: 'ConnectionFailed' },
    });
  });
});

describe('event recorder', () => {
  const record: EventRecord = {
    regarding: { kind: 'LinuxUtilityVM', metadata: { name: 'vm', namespace: 'default', uid: someUid } },
    type: 'Warning',
    reason: 'BackOff',
    action: 'Reconcile',
    note: 'again in 10 s',
  };

  it('records once, counts repeats in a series, and drops what is refused', async () => {
    const { url, received } = await serve((request, response) =>
      reply(response, request.body.includes('Refused') ? 403 : 201, {}),
    );
    const dropped: string[] = [];
    let now = Date.parse('2026-01-01T00:00:00Z');
    const clock: Clock = { now: () => now, after: hastyClock.after };
    const recorder = new EventRecorder({
      http: client(plainAccess(url)),
      clock,
      randomUUID,
      instance: 'replica-1',
      observer: { dropped: ({ reason }) => dropped.push(reason) },
    });
    for (let each = 0; each < 10; each += 1) recorder.record(record);
    await until(() => received.length === 1);
    now += 61_000;
    recorder.record(record);
    await until(() => received.length === 2);
    expect(received.map(({ method }) => method)).toEqual(['POST', 'PATCH']);
    const [created, repeated] = received.map(({ body }) => JSON.parse(body));
    expect(created).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      reportingController: 'lcow-operator',
      eventTime: '2026-01-01T00:00:00.000000Z',
      regarding: { uid: someUid, apiVersion: 'lcow.dev/v1alpha1' },
    });
    expect(repeated).toEqual({ series: { count: 11, lastObservedTime: '2026-01-01T00:01:01.000000Z' } });
    recorder.record({ ...record, reason: 'Refused' });
    await until(() => dropped.length === 1);
    await recorder.stop();
  });

  it('waits for an API server that is away within a bound', async () => {
    const { url } = await serve((_request, response) => response.destroy());
    const dropped: string[] = [];
    const recorder = new EventRecorder({
      http: client(plainAccess(url)),
      clock: hastyClock,
      randomUUID,
      instance: 'replica-1',
      observer: { dropped: ({ reason }) => dropped.push(reason) },
    });
    const { metadata } = record.regarding;
    for (let each = 0; each < 3_000; each += 1) {
      const regarding = { ...record.regarding, metadata: { ...metadata, uid: `uid-${each}`, namespace: `n-${each}` } };
      recorder.record({ ...record, regarding });
    }
    await recorder.stop();
    expect(dropped).toHaveLength(3_000);
  });

  it('writes 25 Events of one object, then one every five minutes, and does not limit other objects', async () => {
    const { url, received } = await serve((_request, response) => reply(response, 201, {}));
    const dropped: unknown[] = [];
    let now = Date.parse('2026-01-01T00:00:00Z');
    const clock: Clock = { now: () => now, after: hastyClock.after };
    const observer = { dropped: (_: unknown, why: unknown) => dropped.push(why) };
    const recorder = new EventRecorder({
      http: client(plainAccess(url)),
      clock,
      randomUUID,
      instance: 'replica-1',
      observer,
    });
    for (let each = 0; each < 1_000; each += 1) recorder.record({ ...record, note: `${each}`.padEnd(100_000, 'x') });
    const metadata = { ...record.regarding.metadata, uid: 'another' };
    recorder.record({ ...record, regarding: { ...record.regarding, metadata } });
    now += 300_000;
    for (let each = 0; each < 10; each += 1) recorder.record({ ...record, note: `later ${each}` });
    await until(() => received.length === 27);
    await recorder.stop();
    const uids = received.map(({ body }) => JSON.parse(body).regarding.uid);
    expect(uids.filter((uid) => uid === someUid)).toHaveLength(26);
    expect(uids).toContain('another');
    expect(dropped).toHaveLength(975 + 9);
    expect(new Set(dropped)).toEqual(new Set(['rate_limited']));
    expect(Math.max(...received.map(({ body }) => JSON.parse(body).note.length))).toBe(1_024);
  });

  it('keeps note and name within the limits of the API server, whatever characters they have', async () => {
    const { url, received } = await serve((_request, response) => reply(response, 201, {}));
    const observer = { dropped: () => {} };
    const recorder = new EventRecorder({
      http: client(plainAccess(url)),
      clock: hastyClock,
      randomUUID,
      instance: 'r',
      observer,
    });
    const name = `${'a'.repeat(198)}-.${'b'.repeat(50)}`;
    const metadata = { ...record.regarding.metadata, name };
    for (const note of ['内'.repeat(600), `${'x'.repeat(1_023)}😀`, '😀'.repeat(300)]) {
      recorder.record({ ...record, regarding: { ...record.regarding, metadata }, note });
    }
    await until(() => received.length === 3);
    await recorder.stop();
    const events = received.map(({ body }) => JSON.parse(body));
    expect(events.map(({ note }) => Buffer.byteLength(note))).toEqual([1_023, 1_023, 1_024]);
    for (const {
      note,
      metadata: { name: eventName },
    } of events) {
      expect(note.isWellFormed()).toBe(true);
      expect(eventName).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
    }
  });

  it('serves namespaces in turn, and lets no namespace fill the room of others', async () => {
    const { url, received } = await serve((_request, response) => reply(response, 201, {}));
    const dropped: string[] = [];
    const observer = { dropped: ({ regarding }: EventRecord) => dropped.push(regarding.metadata.namespace ?? '') };
    const recorder = new EventRecorder({
      http: client(plainAccess(url)),
      clock: hastyClock,
      randomUUID,
      instance: 'replica-1',
      observer,
    });
    const of = (namespace: string, uid: string) =>
      recorder.record({ ...record, regarding: { ...record.regarding, metadata: { name: uid, namespace, uid } } });
    for (let each = 0; each < 3_000; each += 1) of('crowd', `crowd-${each}`);
    of('small', 'small');
    await until(() => received.length >= 20);
    expect(received.slice(0, 20).map(({ body }) => JSON.parse(body).metadata.namespace)).toContain('small');
    await recorder.stop();
    expect(dropped.length).toBeGreaterThan(1_900);
    expect(dropped).not.toContain('small');
  });
});
