// Which users can start something in a guest. The operator asks the API server about the user that the API server
// named, with exactly the attributes that the API server sent.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AccessReviews } from '../../../operator/subresources/access-reviews.ts';
import { channelSubprotocol, subresourcePath } from '../../../protocol/subresources.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { until } from '../../support/operator/fixture.ts';
import { says } from '../../support/operator/stand-in-reviewer.ts';
import { SubresourcesBed } from '../../support/operator/subresources-bed.ts';

let bed: SubresourcesBed;
beforeAll(async () => {
  bed = await SubresourcesBed.start();
});
afterAll(() => bed[Symbol.asyncDispose]());
afterEach(async () => {
  bed.reviewer.answers = says({ allowed: true });
  bed.reviewer.asked.length = 0;
  // Past verdicts expire.
  await bed.clock.advance(10_000);
  bed.logged.length = 0;
});

interface Wish {
  readonly user?: string;
  readonly headers?: readonly string[];
  readonly name?: string;
  readonly namespace?: string;
  readonly subresource?: 'exec' | 'console';
}

/** A WebSocket request as the API server forwards it. Its VM does not exist, and an accepted user is told so. */
function upgrade({
  headers = [],
  name = 'nobody',
  namespace = 'default',
  subresource = 'exec',
  user = 'u',
}: Wish = {}) {
  const lines = [
    `GET ${subresourcePath(namespace, name, subresource)}?command=id HTTP/1.1`,
    'Host: operator',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Sec-WebSocket-Protocol: ${channelSubprotocol}`,
    ...(user === '' ? [] : [`X-Remote-User: ${user}`]),
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Bytes as the API server sends them, in UTF-8. */
const utf8 = (text: string) => Buffer.from(text).toString('latin1');

async function codeFor(wish?: Wish): Promise<number> {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(await bed.answerTo(upgrade(wish)))?.[1]);
}

const admitted = 404;

describe('exec and console', () => {
  it('need the verb create, which is reviewed for the user as the API server named it', async () => {
    const headers = [
      'X-Remote-Group: cn=a,ou=b,dc=c',
      'X-Remote-Group: plain',
      utf8('x-remote-group: größer, 日本'),
      'X-Remote-Extra-Scopes: one, two',
      'X-Remote-Extra-scopes: three',
      'X-Remote-Extra-Acme.com%2Fproject: some%20project',
      'X-Remote-Extra-Spoiled%zz%: kept',
      'X-Remote-Extra-__proto__: p',
      'X-Remote-Uid: made up by the user',
      'X_Remote_User: another',
      'X-Forwarded-Group: system:masters',
    ];
    const user = utf8('jürgen@example.com');
    expect(await codeFor({ user, headers, name: 'vm-1', namespace: 'team-a' })).toBe(admitted);
    const [asked, ...others] = bed.reviewer.asked;
    expect(others).toEqual([]);
    expect(asked).toEqual({
      user: 'jürgen@example.com',
      groups: ['cn=a,ou=b,dc=c', 'plain', 'größer, 日本'],
      extra: expect.anything(),
      resourceAttributes: {
        verb: 'create',
        group: 'subresources.lcow.dev',
        version: 'v1alpha1',
        resource: 'linuxutilityvms',
        subresource: 'exec',
        namespace: 'team-a',
        name: 'vm-1',
      },
    });
    expect(Object.entries(asked?.extra ?? {}).sort()).toEqual([
      ['__proto__', ['p']],
      ['acme.com/project', ['some%20project']],
      ['scopes', ['one, two', 'three']],
      ['spoiled%zz%', ['kept']],
    ]);
    expect(await codeFor({ subresource: 'console' })).toBe(admitted);
    expect(bed.reviewer.asked.at(-1)?.resourceAttributes['subresource']).toBe('console');
  });

  it('are refused without the right to create them, and the answer names the right', async () => {
    bed.reviewer.answers = says({ allowed: false, reason: 'RBAC: no' });
    const refusal = await bed.refusalOf({ subresource: 'exec', query: 'command=id' });
    expect(refusal.code).toBe(403);
    expect(JSON.parse(refusal.text)).toMatchObject({
      kind: 'Status',
      code: 403,
      reason: 'Forbidden',
      message:
        'linuxutilityvms.subresources.lcow.dev "vm" is forbidden: User "somebody" cannot create resource ' +
        '"linuxutilityvms/exec" in API group "subresources.lcow.dev" in the namespace "default"',
    });
    expect(bed.held).toBe(0);
  });

  it('are refused when a review both allows and denies', async () => {
    bed.reviewer.answers = says({ allowed: true, denied: true });
    expect(await codeFor()).toBe(403);
  });

  it('reveal nothing about a VM without the right to create them', async () => {
    bed.reviewer.answers = says({ allowed: false });
    expect([await codeFor({ name: 'nobody' }), await codeFor({ name: 'vm' })]).toEqual([403, 403]);
  });
});

describe('log and document', () => {
  it('are reviewed by the API server alone', async () => {
    bed.reviewer.answers = says({ allowed: false });
    expect((await bed.get({ subresource: 'log', query: 'tailLines=1' })).code).toBe(200);
    expect(JSON.parse((await bed.get({ subresource: 'document' })).text)).toMatchObject({ reason: 'NoDocument' });
    expect(bed.reviewer.asked).toEqual([]);
  });
});

describe('a review that fails', () => {
  it.each<[string, typeof bed.reviewer.answers]>([
    ['with an error of the server', (response) => void response.writeHead(500).end('{}')],
    ['because the operator lacks the right', (response) => void response.writeHead(403).end('{}')],
    ['with a broken connection', (response) => void response.destroy()],
    ['with an answer that cannot be read', (response) => void response.writeHead(201).end('<html>')],
    ['with an answer to another question', (response) => void response.writeHead(201).end('{"kind":"Status"}')],
    ['with a verdict that cannot be read', says({ allowed: 'yes' })],
    ['with an answer without a verdict', (response) => void response.end('{"kind":"SubjectAccessReview"}')],
  ])('%s is answered with 503, and not cached', async (_how, answers) => {
    bed.reviewer.answers = answers;
    const answer = await bed.answerTo(upgrade());
    expect(answer).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    expect(answer).toContain('\r\nRetry-After: 1\r\n');
    expect(JSON.parse(bed.logged.at(-1) ?? '{}').msg).toBe('reviewed nothing');
    bed.reviewer.answers = says({ allowed: true });
    expect(await codeFor()).toBe(admitted);
  });

  it('is given up when no answer comes', async () => {
    bed.reviewer.answers = () => {};
    const code = codeFor();
    await until(() => bed.reviewer.asked.length === 1);
    await bed.clock.advance(8_000);
    expect(await code).toBe(503);
  });
});

describe('a verdict', () => {
  it('is cached for 10 s, whether it allows or denies', async () => {
    for (const [allowed, code] of [
      [true, admitted],
      [false, 403],
    ] as const) {
      bed.reviewer.asked.length = 0;
      bed.reviewer.answers = says({ allowed });
      expect(await codeFor()).toBe(code);
      bed.reviewer.answers = says({ allowed: !allowed });
      await bed.clock.advance(9_999);
      expect(await codeFor()).toBe(code);
      expect(bed.reviewer.asked.length).toBe(1);
      await bed.clock.advance(1);
      expect(await codeFor()).toBe(allowed ? 403 : admitted);
      await bed.clock.advance(10_000);
    }
  });

  it('applies to one user, one VM and one subresource, however they are spelled', async () => {
    const group = (...groups: string[]) => groups.map((each) => `X-Remote-Group: ${each}`);
    const wishes: readonly Wish[] = [
      {},
      { user: 'u2' },
      { subresource: 'console' },
      { name: 'nobody2' },
      { namespace: 'default2' },
      { headers: group('a', 'b') },
      { headers: group('a,b') },
      { headers: group('a, b') },
      { headers: group('b', 'a') },
      { headers: group('a","b') },
      { headers: ['X-Remote-Extra-a: b'] },
      { headers: ['X-Remote-Extra-a: b', 'X-Remote-Extra-a: b'] },
      { headers: ['X-Remote-Extra-a: b', 'X-Remote-Extra-b: b'] },
    ];
    for (const wish of wishes) expect(await codeFor(wish)).toBe(admitted);
    expect(bed.reviewer.asked.length).toBe(wishes.length);
    // The API server sends extra attributes in any order.
    await codeFor({ headers: ['X-Remote-Extra-b: b', 'X-Remote-Extra-a: b'] });
    for (const wish of wishes) await codeFor(wish);
    expect(bed.reviewer.asked.length).toBe(wishes.length);
  });
});

describe('reviews', () => {
  it('are bounded per user', async () => {
    const waiting: (() => void)[] = [];
    bed.reviewer.answers = (response, spec) => {
      waiting.push(() => says({ allowed: true })(response, spec));
    };
    const answers = Array.from({ length: 8 }, (_, index) => codeFor({ name: `vm-${index}` }));
    await until(() => bed.reviewer.asked.length === 8);
    expect(await codeFor({ name: 'another' })).toBe(429);
    const other = codeFor({ user: 'other' });
    await until(() => bed.reviewer.asked.length === 9);
    for (const answer of waiting) answer();
    expect(await Promise.all([...answers, other])).toEqual(Array.from({ length: 9 }, () => admitted));
    bed.reviewer.answers = says({ allowed: true });
    expect(await codeFor({ name: 'another' })).toBe(admitted);
  });

  it('are bounded in total, and equal questions share one answer', async () => {
    const waiting: (() => void)[] = [];
    const answer = { ok: true, value: { kind: 'SubjectAccessReview', status: { allowed: true } } } as const;
    const http = { request: () => new Promise<typeof answer>((resolve) => waiting.push(() => resolve(answer))) };
    const reviews = new AccessReviews({ http, clock: new ManualClock(), failed: () => {} });
    const ask = (user: string, name: string) => {
      const query = new URLSearchParams();
      const asked = { namespace: 'default', name, subresource: 'exec', query } as const;
      return reviews.review({ username: user, uid: undefined, groups: [], extra: [] }, 'create', asked);
    };
    const asked = Array.from({ length: 64 }, (_, index) => ask(`user-${index % 8}`, `vm-${index}`));
    const [again, oneMore] = [ask('user-0', 'vm-0'), ask('another', 'vm-0')];
    expect(await oneMore).toMatchObject({ ok: false, refusal: { code: 503 } });
    expect(waiting.length).toBe(64);
    for (const each of waiting) each();
    for (const each of await Promise.all([...asked, again])) expect(each).toEqual({ ok: true, value: 'Allowed' });
    void ask('another', 'vm-0');
    expect(waiting.length).toBe(65);
  });
});

describe('the user', () => {
  it.each<[string, Wish]>([
    ['nobody', { user: '' }],
    ['an empty name', { user: '', headers: ['X-Remote-User: '] }],
    ['two names', { headers: ['X-Remote-User: admin'] }],
    ['the same name twice', { headers: ['X-Remote-User: u'] }],
    ['bytes that are not UTF-8', { user: 'a\xff' }],
    ['a group that is not UTF-8', { headers: ['X-Remote-Group: \xff'] }],
  ])('who is %s is refused', async (_who, wish) => {
    expect(await codeFor(wish)).toBe(401);
    expect(bed.reviewer.asked).toEqual([]);
  });

  it('can be in more groups than Node accepts headers', async () => {
    const groups = Array.from(
      { length: 2_100 },
      (_, index) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
    );
    expect(await codeFor({ headers: groups.map((group) => `X-Remote-Group: ${group}`) })).toBe(admitted);
    expect(bed.reviewer.asked[0]?.groups).toEqual(groups);
  });

  it('is named by the headers that the ConfigMap names', async () => {
    Object.assign(bed.believedHeaders, {
      'requestheader-username-headers': '["X-Remote-User","X-Other-User"]',
      'requestheader-uid-headers': '["X-Remote-Uid"]',
      'requestheader-group-headers': '["X-Team"]',
      'requestheader-extra-headers-prefix': '["X-Remote-Extra-","X-More-",""]',
    });
    await bed.clock.advance(60_000);
    const headers = ['X-Remote-Uid: 1-2', 'X-Team: a', 'X-Remote-Group: ignored', 'X-More-A: b', 'X-Remote-Extra-A: c'];
    await until(async () => {
      await codeFor({ headers });
      await bed.clock.advance(10_000);
      return bed.reviewer.asked.at(-1)?.uid === '1-2';
    });
    expect(bed.reviewer.asked.at(-1)).toMatchObject({ user: 'u', uid: '1-2', groups: ['a'], extra: { a: ['b', 'c'] } });
    expect(await codeFor({ headers: ['X-Other-User: admin'] })).toBe(401);
    expect(await codeFor({ headers: ['X-Other-User: '] })).toBe(admitted);
    expect(await codeFor({ user: '', headers: ['X-Other-User: admin'] })).toBe(admitted);
    expect(bed.reviewer.asked.at(-1)?.user).toBe('admin');
    expect(await codeFor({ headers: ['X-Remote-Uid: 1', 'X-Remote-Uid: 2'] })).toBe(401);
  });

  it('is not who a stranger claims to be', async () => {
    const answer = await bed.answerTo(
      upgrade({ user: 'admin', headers: ['X-Remote-Group: system:masters'] }),
      'stranger',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
    expect(bed.reviewer.asked).toEqual([]);
  });
});
