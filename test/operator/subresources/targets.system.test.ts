// Which request targets the aggregated API accepts. The API server has authorised the path exactly as it arrived, so
// any other spelling must lead nowhere: the API server would have authorised it as something else.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { readTarget } from '../../../operator/subresources/request.ts';
import { channelSubprotocol, subresourcePath } from '../../../protocol/subresources.ts';
import { until } from '../../support/operator/fixture.ts';
import { SubresourcesBed } from '../../support/operator/subresources-bed.ts';

const root = '/apis/subresources.lcow.dev/v1alpha1';
const log = subresourcePath('team-a', 'x', 'log');
const exec = 'default/linuxutilityvms/vm/exec';
const handshake = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  `Sec-WebSocket-Protocol: ${channelSubprotocol}`,
];

/** Paths that the API server authorises as something else, or not at all. */
const strange = [
  `${log}/../../../../${exec}`,
  `${log}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/${exec}`,
  `${log}/..%2f..%2f..%2f..%2f${exec}`,
  `${log}/.%2e/%2E./..%2F../${exec}`,
  `${log}/..;/..;/..;/..;/${exec}`,
  `${log}\\..\\..\\..\\..\\${exec.replaceAll('/', '\\')}`,
  `${log}/..\\..\\..\\..\\${exec}`,
  `${root}/namespaces/./${exec}`,
  `${root}/./namespaces/${exec}`,
  `${root}//namespaces/${exec}`,
  `/${root}/namespaces/${exec}`,
  `//evil${root}/namespaces/${exec}`,
  `///apis/subresources.lcow.dev/v1alpha1/namespaces/${exec}`,
  `${root}/namespaces/${exec}/`,
  `${root}/namespaces/${exec}/.`,
  `${root}/namespaces/${exec}/x/..`,
  `${root}/namespaces/${exec}#`,
  `${root}/namespaces/${exec}#/../log`,
  `${root}/namespaces/${exec};a=b`,
  `${root}/namespaces/default/linuxutilityvms/vm/%65xec`,
  `${root}/namespaces/default/linuxutilityvms/vm/EXEC`,
  `${root}/namespaces/default/linuxutilityvms/vm/log\t/exec`,
  `${root}/namespaces/default/linuxutilityvms/vm/exec%00`,
  `${root}/namespaces/default/linuxutilityvms/v%6d/exec`,
  `${root}/namespaces/defau\u212at/linuxutilityvms/vm/exec`,
  `${root}/namespaces/team-a/../${exec}`,
  `${root}/namespaces/team-a/linuxutilityvms/x/../../../${exec}`,
  `${root}/watch/namespaces/${exec}`,
  `${root}/%2e/namespaces/${exec}`,
  `/apis/x/../subresources.lcow.dev/v1alpha1/namespaces/${exec}`,
  `/apis/subresources%2elcow.dev/v1alpha1/namespaces/${exec}`,
  `https://operator${root}/namespaces/${exec}`,
  `http://a:b${root}/namespaces/${exec}`,
  `apis/subresources.lcow.dev/v1alpha1/namespaces/${exec}`,
  `?/../${exec}`,
  '*',
  '//',
  'http://a:b',
  '/',
];

describe('a target', () => {
  it.each(strange)('that is written like %j is not served', (target) => {
    expect(readTarget(target)).toBeUndefined();
    expect(readTarget(`${target}?command=id`)).toBeUndefined();
  });

  it('is what the API server authorised, byte for byte', () => {
    const letters = fc.string({
      unit: fc.constantFrom(...'abz09-./%2e\\:?#@;, \t\r\n\u0000é\u212a'.split(''), '..', '/../', 'log', 'exec', root),
    });
    const around = fc.tuple(letters, fc.constantFrom(log, subresourcePath('default', 'vm', 'exec')), letters);
    fc.assert(
      fc.property(around, ([before, path, after]) => {
        const target = `${before}${path}${after}`;
        const read = readTarget(target);
        if (read?.kind !== 'machine') return;
        const { name, namespace, subresource } = read.request;
        expect(target.split('?')[0]).toBe(subresourcePath(namespace, name, subresource));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['command=%', '%'],
    ['command=%zz', '%zz'],
    ['command=%ff', '\ufffd'],
    ['command=a+b%20c', 'a b c'],
    ['&&=&command=x', 'x'],
    ['command=x&__proto__=y', 'x'],
  ])('can have any query: %s', (query, command) => {
    const read = readTarget(`${root}/namespaces/${exec}?${query}`);
    expect(read?.kind === 'machine' && read.request.query.get('command')).toBe(command);
  });
});

describe('the server', () => {
  let bed: SubresourcesBed;
  beforeAll(async () => {
    bed = await SubresourcesBed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const request = (method: string, target: string, headers: readonly string[] = []) =>
    `${[`${method} ${target} HTTP/1.1`, 'Host: operator', 'X-Remote-User: u', ...headers].join('\r\n')}\r\n\r\n`;
  const ends = ['Connection: close'];
  const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
  const stackTraces = () => bed.logged.filter((line) => JSON.parse(line).level >= 50);

  it('serves the discovery paths and the paths of subresources', async () => {
    for (const path of ['/apis', '/apis/subresources.lcow.dev', root, '/openapi/v2', '/openapi/v3']) {
      expect(statusOf(await bed.answerTo(request('GET', path, ends))), path).toBe(200);
      expect(statusOf(await bed.answerTo(request('GET', `${path}?timeout=32s`, ends))), path).toBe(200);
    }
    expect(statusOf(await bed.answerTo(request('GET', subresourcePath('default', 'vm', 'log'), ends)))).toBe(200);
  });

  it('starts nothing for a target that was authorised as another one', async () => {
    for (const target of strange) {
      const answers = [
        await bed.answerTo(request('GET', `${target}?command=id`, ends)),
        await bed.answerTo(request('GET', `${target}?command=id&stdout=true`, handshake)),
      ];
      // Node refuses some targets before the server sees them.
      for (const answer of answers) expect([400, 404], `${target}: ${answer}`).toContain(statusOf(answer));
    }
    expect(bed.reviewer.asked).toEqual([]);
    expect(bed.held).toBe(0);
    expect(stackTraces()).toEqual([]);
  });

  it('upgrades only real WebSocket requests, before anything is started', async () => {
    const path = `${root}/namespaces/${exec}?command=cat`;
    const spoiled = [
      handshake.map((line) => line.replace('websocket', 'h2c')),
      handshake.map((line) => line.replace('13', '7')),
      handshake.filter((line) => !line.startsWith('Sec-WebSocket-Key')),
      handshake.filter((line) => !line.startsWith('Sec-WebSocket-Protocol')),
      [...handshake, `Sec-WebSocket-Protocol: ${channelSubprotocol}`],
      [...handshake, 'Content-Length: 5'],
      [...handshake, 'Transfer-Encoding: chunked'],
    ];
    for (const headers of spoiled) expect(statusOf(await bed.answerTo(request('GET', path, headers)))).toBe(400);
    for (const method of ['POST', 'HEAD', 'PUT', 'DELETE']) {
      expect(statusOf(await bed.answerTo(request(method, path, handshake))), method).toBe(400);
    }
    expect(bed.reviewer.asked).toEqual([]);
    expect(bed.held).toBe(0);
  });

  const huge = 'x'.repeat(300_000);
  const byStrangers = [
    'GET // HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET http://a:b HTTP/1.1\r\nHost: a\r\n\r\n',
    'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n',
    'CONNECT [ HTTP/1.1\r\nHost: a\r\n\r\n',
    'PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n',
    'QUERY / HTTP/1.1\r\nHost: a\r\n\r\n',
    'BREW / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /\r\n\r\n',
    'GET / HTTP/9.9\r\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc',
    'GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nExpect: whatever\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\n__proto__: x\r\n__proto__: y\r\n\r\n',
    `GET /${huge} HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${huge}\r\n\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\u0016\u0003\u0001',
    ...[
      'GET //',
      'GET http://a:b',
      'OPTIONS *',
      'POST %',
      'GET \\\\a',
      `GET ${root}/namespaces/${exec}?command=id`,
    ].map((line) => `${line} HTTP/1.1\r\nHost: a\r\nX-Remote-User: admin\r\n${handshake.join('\r\n')}\r\n\r\n`),
  ];

  it.each(byStrangers.map((bytes) => [bytes.slice(0, 60), bytes]))(
    'refuses a stranger who sends %j, and logs no error',
    async (_title, bytes) => {
      // A request that looks unfinished is completed by the end of the connection.
      const answer = await bed.answerTo(bytes, 'stranger');
      expect([400, 401], answer).toContain(statusOf(answer));
      expect(answer).toContain('"kind":"Status"');
      expect(bed.reviewer.asked).toEqual([]);
      expect(stackTraces()).toEqual([]);
    },
  );

  it('does not trust a session that began without a certificate', async () => {
    const first = await bed.connectStranger();
    const session = new Promise<Buffer>((resolve) => first.once('session', resolve));
    first.write(request('GET', root, ends));
    const again = await bed.connectStranger(await session);
    const answer = new Promise<string>((resolve) => again.once('data', (bytes) => resolve(bytes.toString())));
    again.write(request('GET', root, ends));
    expect(statusOf(await answer)).toBe(401);
    expect(again.isSessionReused()).toBe(true);
  });

  it('has room for the API server, however many strangers connect and send nothing', async () => {
    const silent = await Promise.all(Array.from({ length: 1_300 }, () => bed.connectSilently()));
    onTestFinished(() => {
      for (const socket of silent) socket.destroy();
    });
    expect(statusOf(await bed.answerTo(request('GET', root, ends)))).toBe(200);
    const left = () => silent.filter((socket) => !socket.closed).length;
    await until(() => left() <= 512);
    await bed.clock.advance(5_000);
    await until(() => left() === 0);
  });

  it('logs strangers once a second', async () => {
    await bed.clock.advance(1_000);
    const before = bed.logged.length;
    for (let count = 0; count < 20; count += 1) await bed.answerTo(request('GET', '/apis', ends), 'stranger');
    expect(bed.logged.length - before).toBe(1);
    await bed.clock.advance(1_000);
    await bed.answerTo(request('GET', '/apis', ends), 'stranger');
    expect(JSON.parse(bed.logged.at(-1) ?? '{}')).toMatchObject({ untold: 19, msg: 'a request was refused' });
  });
});
