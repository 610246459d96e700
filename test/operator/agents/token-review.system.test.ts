// How many requests strangers' tokens cause at the API server, and how much they delay an agent. A stand-in counts the
// requests.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { TokenReviews } from '../../../operator/agents/token-review.ts';
import { plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { until } from '../../support/operator/fixture.ts';
import { agentUser, forgedToken, Issuer, type TokenClaims } from '../../support/operator/tokens.ts';

const review = z.object({ spec: z.object({ token: z.string() }) });

/** Accepts the tokens that it is given, and answers slowly. */
class CountingApiServer {
  readonly issuer = new Issuer();
  readonly known = new Set<string>();
  reviews = 0;
  keyReads = 0;
  /** Whether it publishes its signing keys. */
  tellsKeys = true;
  milliseconds = 5;
  readonly #server = http.createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<URL> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await text(request);
    const send = (code: number, json: object) => response.writeHead(code).end(JSON.stringify(json));
    if (request.url === '/openid/v1/jwks') {
      this.keyReads += 1;
      const tells = this.tellsKeys && request.headers.accept === 'application/jwk-set+json';
      send(tells ? 200 : 403, tells ? this.issuer.keySet : { code: 403, reason: 'Forbidden' });
    } else if (request.url?.startsWith('/api/v1/nodes/') === true) {
      send(200, { metadata: { name: 'node-1', uid: 'uid-1', resourceVersion: '1' }, spec: {}, status: {} });
    } else {
      this.reviews += 1;
      const { token } = review.parse(JSON.parse(body)).spec;
      systemClock.after(this.milliseconds, () => send(200, this.#reviewOf(token)));
    }
  }

  #reviewOf(token: string): object {
    if (!this.known.has(token)) return { status: { error: 'invalid bearer token' } };
    const extra = {
      'authentication.kubernetes.io/node-name': ['node-1'],
      'authentication.kubernetes.io/node-uid': ['uid-1'],
    };
    return { status: { authenticated: true, audiences: ['lcow-operator'], user: { username: agentUser, extra } } };
  }
}

let api: CountingApiServer;
let reviews: TokenReviews;

beforeEach(async () => {
  api = new CountingApiServer();
  const access = plainAccess(await api.start());
  const kube = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test' });
  reviews = new TokenReviews({ http: kube, clock: systemClock, userName: agentUser });
});
afterEach(() => api.stop());

function goodToken(claims: TokenClaims = {}): string {
  const token = api.issuer.token(claims);
  api.known.add(token);
  return token;
}

/** Shows `count` different bad tokens. */
const flood = (count: number, address: (index: number) => string, first = 0) =>
  Array.from({ length: count }, (_, index) =>
    reviews.authenticate(forgedToken({ jti: `${first + index}` }), address(index)),
  );

const milliseconds = async (task: Promise<unknown>) => {
  const begun = performance.now();
  await task;
  return performance.now() - begun;
};

describe('a token', () => {
  const anHourAgo = Math.floor(Date.now() / 1000) - 3_600;

  it.each<[string, TokenClaims]>([
    ['that expired an hour ago', { exp: anHourAgo }],
    ['for another audience', { aud: ['https://kubernetes.default.svc'] }],
    ['for one other', { aud: 'other' }],
    ['of another account', { sub: 'system:serviceaccount:default:somebody' }],
  ])('%s is refused without a request', async (_name, claims) => {
    expect(await reviews.authenticate(api.issuer.token(claims), 'a')).toMatchObject({ ok: false, retry: false });
    expect(api.reviews + api.keyReads).toBe(0);
  });

  it.each<[string, TokenClaims]>([
    [
      'that expired a minute ago by the operator’s clock, which can be wrong',
      { exp: Math.floor(Date.now() / 1000) - 60 },
    ],
    ['for the operator and other audiences', { aud: ['other', 'lcow-operator'] }],
  ])('%s is left to the API server', async (_name, claims) => {
    expect(await reviews.authenticate(goodToken(claims), 'a')).toMatchObject({ ok: true, nodeName: 'node-1' });
  });

  it.each([
    ['', 'nothing'],
    ['a.b.c', 'no JSON'],
    ['..', 'empty parts'],
    ['bm8.bm8.bm8', 'text'],
    [`${'A'.repeat(4_000)}.${'A'.repeat(4_000)}.A`, 'zeros'],
  ])('that is malformed is refused without a request: %#', async (bearer) => {
    expect(await reviews.authenticate(bearer, 'a')).toMatchObject({ ok: false, retry: false });
    expect(api.reviews + api.keyReads).toBe(0);
  });

  it('is reviewed once, whether good or bad, however often it is shown', async () => {
    const [good, bad] = [goodToken(), forgedToken({})];
    for (let each = 0; each < 3; each += 1) {
      const both = [...Array(20).keys()].flatMap(() => [
        reviews.authenticate(good, 'a'),
        reviews.authenticate(bad, 'b'),
      ]);
      await Promise.all(both);
    }
    expect(api.reviews).toBe(2);
  });
});

/** Milliseconds. Behind a thousand strangers, at ten reviews a second, an agent would wait for minutes. */
const farBelowTheLine = 20_000;

describe('strangers', () => {
  it('with a thousand bad tokens a second cause a bounded number of reviews and do not delay an agent, even at its address', async () => {
    const begun = performance.now();
    const strangers: Promise<{ readonly ok: boolean }>[] = [];
    const flooding = setInterval(() => {
      const begin = strangers.length;
      strangers.push(...flood(50, () => 'a', begin));
    }, 50);
    await until(() => strangers.length > 1_000);
    for (const address of ['a', 'b', 'a', 'b']) {
      const token = goodToken({ jti: `good ${strangers.length}` });
      expect(await milliseconds(reviews.authenticate(token, address))).toBeLessThan(farBelowTheLine);
    }
    await until(() => strangers.length > 3_000);
    clearInterval(flooding);
    expect((await Promise.all(strangers)).some(({ ok }) => ok)).toBe(false);
    // 100 at once, 10 a second for as long as this takes, and requests in flight.
    expect(api.reviews).toBeGreaterThan(100);
    expect(api.reviews).toBeLessThan(200 + (10 * (performance.now() - begun)) / 1_000);
  });

  it('do not delay others even if the API server does not publish its keys', async () => {
    api.tellsKeys = false;
    const strangers = flood(2_000, (index) => `stranger ${index % 4}`);
    await until(() => api.reviews >= 100);
    expect(await milliseconds(reviews.authenticate(goodToken(), 'agent'))).toBeLessThan(farBelowTheLine);
    await Promise.all(strangers);
    expect(api.reviews).toBeLessThan(250);
    expect(api.keyReads).toBeLessThan(20);
  });

  it('do not delay a whole fleet that connects at once', async () => {
    const fleet = Array.from({ length: 300 }, (_, index) => goodToken({ jti: `${index}` }));
    const strangers = flood(1_000, () => 'a');
    const answers = await Promise.all(fleet.map((token) => reviews.authenticate(token, 'a')));
    expect(answers.every(({ ok }) => ok)).toBe(true);
    await Promise.all(strangers);
  });

  it('that invent key names cause only a few fetches of the keys', async () => {
    await Promise.all(
      Array.from({ length: 200 }, (_, index) => reviews.authenticate(forgedToken({}, `key ${index}`), 'a')),
    );
    expect(api.keyReads).toBeLessThan(3);
  });
});
