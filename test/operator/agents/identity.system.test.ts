// How operator and agents identify each other, with real tokens of a real API server.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { dial, openWebSocket } from '../../../agent/link/dial.ts';
import { TokenReviews } from '../../../operator/agents/token-review.ts';
import { isPair, type KeyPair } from '../../../operator/certificates/authority.ts';
import { lifetimes } from '../../../operator/certificates/rotation.ts';
import { CertificateStore, trustConfigMap } from '../../../operator/certificates/store.ts';
import { agentsPath } from '../../../protocol/messages.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { type ControlPlane, startControlPlane } from '../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../support/control-plane/custom-resources.ts';
import { OperatorFixture, type RunningOperator, until } from '../../support/operator/fixture.ts';
import { observedMachine, ScriptedAgent } from '../../support/operator/scripted-agent.ts';
import { agentUser, forgedToken } from '../../support/operator/tokens.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let directory: string;
const operators: RunningOperator[] = [];
const agents: ScriptedAgent[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'identity-'));
  controlPlane = await startControlPlane({ controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
  for (const name of ['lcow-agent', 'somebody']) {
    await create('/api/v1/namespaces/default/serviceaccounts', 'v1', 'ServiceAccount', { metadata: { name } });
  }
}, 120_000);

afterEach(async () => {
  for (const { operator } of operators.splice(0)) await operator.stop();
  for (const agent of agents.splice(0)) await agent.disconnect();
});

afterAll(async () => {
  await controlPlane?.stop();
  await rm(directory, { recursive: true, force: true });
});

const stored = z.looseObject({ metadata: z.looseObject({ name: z.string(), uid: z.string() }) });

async function create(path: string, apiVersion: string, kind: string, body: object): Promise<string> {
  return stored.parse(await fixture.request({ method: 'POST', path, body: { apiVersion, kind, ...body } })).metadata
    .uid;
}

const createNode = (name: string) => create('/api/v1/nodes', 'v1', 'Node', { metadata: { name } });
const remove = (path: string) => fixture.request({ method: 'DELETE', path, body: { gracePeriodSeconds: 0 } });

async function createPod(name: string, nodeName: string, serviceAccountName = 'lcow-agent') {
  const spec = { nodeName, serviceAccountName, containers: [{ name: 'agent', image: 'agent' }] };
  const uid = await create('/api/v1/namespaces/default/pods', 'v1', 'Pod', { metadata: { name }, spec });
  return { kind: 'Pod', apiVersion: 'v1', name, uid };
}

const tokenRequest = z.object({ status: z.object({ token: z.string() }) });

async function token(
  pod: object | undefined,
  { audience = 'lcow-operator', account = 'lcow-agent' } = {},
): Promise<string> {
  const answer = await fixture.request({
    method: 'POST',
    path: `/api/v1/namespaces/default/serviceaccounts/${account}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], ...(pod === undefined ? {} : { boundObjectRef: pod }) },
    },
  });
  return tokenRequest.parse(answer).status.token;
}

const peer = '10.0.0.1';
const reviews = () =>
  new TokenReviews({
    http: fixture.http,
    clock: systemClock,
    userName: 'system:serviceaccount:default:lcow-agent',
  });

describe('an agent', () => {
  it('is identified by the node, service account and audience of its token, and refused without any of them', async () => {
    const nodeUID = await createNode('node-1');
    const pod = await createPod('agent-1', 'node-1');
    const subject = reviews();
    expect(await subject.authenticate(await token(pod), peer)).toEqual({ ok: true, nodeName: 'node-1', nodeUID });
    const refusals = [
      [await token(pod, { audience: 'other' }), 'is not for lcow-operator'],
      [await token(undefined), 'not bound to a pod on a Node'],
      [
        await token(await createPod('other-1', 'node-1', 'somebody'), { account: 'somebody' }),
        'is not one of system:serviceaccount:default:lcow-agent',
      ],
      [`${(await token(pod)).slice(0, -6)}AAAAAA`, 'does not know the token'],
      ['token-of-node-1-static', 'not a service account token'],
    ] as const;
    for (const [bearer, message] of refusals) {
      expect(await subject.authenticate(bearer, peer)).toEqual({
        ok: false,
        retry: false,
        message: expect.stringContaining(message),
      });
    }
  });

  it('of an earlier Node of the same name is refused, and so is one whose Node is gone', async () => {
    await createNode('node-2');
    const pod = await createPod('agent-2', 'node-2');
    const earlier = await token(pod);
    await remove('/api/v1/nodes/node-2');
    expect(await reviews().authenticate(earlier, peer)).toMatchObject({ ok: false, retry: false });
    await createNode('node-2');
    expect(await reviews().authenticate(earlier, peer)).toMatchObject({
      ok: false,
      retry: false,
      message: 'the token is of an earlier Node node-2',
    });
  });

  it('causes at most one round of requests in ten seconds, however often it shows its token', async () => {
    await createNode('node-3');
    const bearer = await token(await createPod('agent-3', 'node-3'));
    let requests = 0;
    const counting = fixture.httpWith({ onResult: () => (requests += 1) });
    const subject = new TokenReviews({
      http: counting,
      clock: systemClock,
      userName: 'system:serviceaccount:default:lcow-agent',
    });
    const answers = await Promise.all(Array.from({ length: 50 }, () => subject.authenticate(bearer, peer)));
    expect(answers.every(({ ok }) => ok)).toBe(true);
    // One request each for the issuer's keys, the review and the Node.
    expect(requests).toBe(3);
  });

  it('is reviewed at once even if a stranger at its own address shows many similar tokens', async () => {
    await createNode('node-7');
    const bearer = await token(await createPod('agent-7', 'node-7'));
    let requests = 0;
    const http = fixture.httpWith({ onResult: () => (requests += 1) });
    const subject = new TokenReviews({
      http,
      clock: systemClock,
      userName: 'system:serviceaccount:default:lcow-agent',
    });
    const [head, body] = bearer.split('.');
    const forged = Array.from(
      { length: 2_000 },
      (_, index) => `${head}.${body}.${Buffer.from(`forged ${index}`).toString('base64url')}`,
    );
    const begun = performance.now();
    const strangers = forged.map((each) => subject.authenticate(each, peer));
    // A busy machine may answer that the agent must try again, and agents do so.
    let answer = await subject.authenticate(bearer, peer);
    for (let tries = 1; tries < 3 && !answer.ok && answer.retry; tries += 1) {
      answer = await subject.authenticate(bearer, peer);
    }
    expect(answer).toMatchObject({ ok: true, nodeName: 'node-7' });
    const answers = await Promise.all(strangers);
    expect(answers.some(({ ok }) => ok)).toBe(false);
    // A burst of 100, ten a second, and requests in flight; also keys, Node and agent. The strangers together ask for
    // 2,000.
    const seconds = (performance.now() - begun) / 1_000;
    expect(requests).toBeLessThan(130 + 10 * seconds);
  });

  it('cannot be identified while the API server is away, and is told to try again', async () => {
    const nowhere = fixture.httpWith({ server: new URL('http://127.0.0.1:1') });
    const subject = new TokenReviews({ http: nowhere, clock: systemClock, userName: agentUser });
    expect(await subject.authenticate(forgedToken({}), peer)).toMatchObject({ ok: false, retry: true });
  });
});

/** A wall clock that the test sets forward. Timers run normally. */
class ShiftedClock implements Clock {
  shift = 0;
  now(): number {
    return systemClock.now() + this.shift;
  }
  after(milliseconds: number, task: () => void) {
    return systemClock.after(Math.min(milliseconds, 200), task);
  }
}

function certificates(clock: Clock): CertificateStore {
  return new CertificateStore({
    http: fixture.http,
    clock,
    random: () => 0.5,
    namespace: 'default',
    names: ['lcow-operator', '127.0.0.1'],
  });
}

const configMap = z.object({ data: z.record(z.string(), z.string()) });

/** Waits for a published trust bundle that differs from `before`. */
async function untilPublished(before: string): Promise<string> {
  const path = `/api/v1/namespaces/default/configmaps/${trustConfigMap}`;
  let bundle = before;
  await until(async () => {
    const answer = await fixture.http.request({ method: 'GET', path });
    if (answer.ok) bundle = configMap.parse(answer.value).data['ca.crt'] ?? before;
    return bundle !== before;
  });
  return bundle;
}

async function connect(operator: RunningOperator, name: string, bearer: string, bundle: string) {
  const [tokenFile, caFile] = [join(directory, `${name}.token`), join(directory, `${name}.crt`)];
  await writeFile(tokenFile, bearer);
  await writeFile(caFile, bundle);
  const url = `wss://127.0.0.1:${operator.agents}${agentsPath}`;
  const ports = { clock: systemClock, random: Math.random, openSocket: openWebSocket };
  const socket = await dial({ url, tokenFile, caFile }, ports, AbortSignal.timeout(5_000));
  const agent = new ScriptedAgent();
  agents.push(agent);
  agent.attach(socket);
  agent.hello();
  await until(() => agent.receivedOf('welcome').length === 1);
  return agent;
}

async function start(clock: Clock, leads = true): Promise<RunningOperator> {
  const operator = await fixture.start({ authenticator: reviews(), certificates: certificates(clock), leads });
  operators.push(operator);
  return operator;
}

describe('operator and agent', () => {
  it('identify each other by token and by certificate, before and after rotations of both certificates', async () => {
    // TLS uses the real time, so this clock has to start in the past.
    const clock = new ShiftedClock();
    clock.shift = -0.7 * lifetimes.authority - 1.5 * lifetimes.announcement;
    const operator = await start(clock);
    await createNode('node-4');
    const bearer = await token(await createPod('agent-4', 'node-4'));
    const firstBundle = await untilPublished('');

    clock.shift = -1.5 * lifetimes.announcement; // a successor is announced
    const secondBundle = await untilPublished(firstBundle);
    expect(secondBundle).toContain(firstBundle.trim());
    const first = await connect(operator, 'first', bearer, firstBundle);
    const second = await connect(operator, 'second', bearer, secondBundle);
    expect((await first.closed).code).toBe(4409); // replaced by the newer session of its node

    clock.shift = 0; // and signs
    await untilPublished(secondBundle);
    await until(() =>
      connect(operator, 'outdated', bearer, firstBundle).then(
        () => false,
        () => true,
      ),
    );
    expect(second.isOpen).toBe(true);
    await connect(operator, 'third', bearer, secondBundle);
    expect((await second.closed).code).toBe(4409);
    expect((await fixture.host('node-4'))?.status.session?.nodeUID).toBeDefined();
  }, 60_000);

  it('agree on one certificate authority between two replicas', async () => {
    await remove('/api/v1/namespaces/default/secrets/lcow-operator-certificates');
    await remove(`/api/v1/namespaces/default/configmaps/${trustConfigMap}`);
    const seen = new Map<number, string>();
    const stores = [0, 1, 2].map((index) => {
      const store = certificates(new ShiftedClock());
      store.start({ serving: ({ certificate }) => seen.set(index, certificate), failed: () => {} });
      return store;
    });
    await until(() => seen.size === 3 && new Set(seen.values()).size === 1);
    await Promise.all(stores.map((store) => store.stop()));
  });

  it("continue when a Secret's keys do not match its certificates: the operator creates new ones and keeps serving", async () => {
    const path = '/api/v1/namespaces/default/secrets/lcow-operator-certificates';
    const seen: KeyPair[] = [];
    const failures: string[] = [];
    const store = certificates(new ShiftedClock());
    store.start({ serving: (pair) => seen.push(pair), failed: (message) => failures.push(message) });
    await until(() => seen.length === 1);
    for (const broken of ['ca.key', 'tls.key', 'tls.crt', 'next-ca.key']) {
      const served = seen.length;
      const data = { [broken]: Buffer.from('no key at all').toString('base64') };
      const patch = { method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { data } } as const;
      expect((await fixture.http.request(patch)).ok).toBe(true);
      if (broken !== 'next-ca.key') await until(() => seen.length === served + 1);
    }
    expect(seen.every(isPair)).toBe(true);
    await store.stop();
    expect(failures).toEqual([]);
  });

  it('log no token, whether it is accepted or refused, and no security policy', async () => {
    const lines: string[] = [];
    const operator = await fixture.start({
      authenticator: reviews(),
      certificates: certificates(systemClock),
      logger: pino({ level: 'trace' }, { write: (line) => void lines.push(line) }),
    });
    operators.push(operator);
    await createNode('node-6');
    const bearer = await token(await createPod('agent-6', 'node-6'));
    const bundle = await untilPublished('');
    const forged = `${bearer.slice(0, -20)}${'A'.repeat(20)}`;
    await expect(connect(operator, 'forged', forged, bundle)).rejects.toThrow();
    const agent = await connect(operator, 'quiet', bearer, bundle);
    agent.onAssign = ({ uid, generation, optionsDigest }) =>
      agent.observe(observedMachine(uid, { generation, optionsDigest, wantedDigest: optionsDigest }));
    const policy = Buffer.from('package policy # of nobody else').toString('base64');
    await fixture.create('secretive', { confidential: { isolation: 'None', securityPolicy: policy } });
    const { status } = await fixture.untilReady('secretive');
    expect(agent.receivedOf('policy')).toHaveLength(1);
    const events = { method: 'GET', path: '/apis/events.k8s.io/v1/namespaces/default/events' } as const;
    await until(async () => JSON.stringify(await fixture.request(events)).includes('secretive'));
    const told = [...lines, JSON.stringify(status), JSON.stringify(await fixture.request(events))].join('\n');
    expect(told).toContain('does not know the token');
    for (const secret of [bearer, forged, policy]) expect(told).not.toContain(secret.slice(0, 24));
  });

  it('end a session when its Node is created again', async () => {
    const operator = await start(systemClock);
    await createNode('node-5');
    const bearer = await token(await createPod('agent-5', 'node-5'));
    const agent = await connect(operator, 'renewed', bearer, await untilPublished(''));
    await remove('/api/v1/nodes/node-5');
    await createNode('node-5');
    expect(await agent.closed).toMatchObject({ code: 4401, reason: expect.stringContaining('earlier Node') });
  });
});
