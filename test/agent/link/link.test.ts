// The agent's end of the wire: a real WebSocket to a scripted operator, real VMs on a simulated node behind it.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { defaultLinkTimes, type LinkTimes } from '../../../agent/bounds/timeouts.ts';
import { operatorUrl } from '../../../agent/commands/flags.ts';
import { bracketed, dial, openWebSocket, urlProblem } from '../../../agent/link/dial.ts';
import { OperatorLink } from '../../../agent/link/link.ts';
import type { SessionStreams } from '../../../agent/link/session.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { optionsDigest, sha256Hex } from '../../../protocol/digest.ts';
import { intentsCapability } from '../../../protocol/intent.ts';
import {
  type AgentMessage,
  agentsPath,
  type Element,
  type Hello,
  type OperatorMessage,
} from '../../../protocol/messages.ts';
import { type Clock, type Random, systemClock } from '../../../runtime/clock.ts';
import { type AgentCore, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { ScriptedOperator, type Session } from '../../support/agent/scripted-operator.ts';
import { startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { Relay } from '../../support/operator/relay.ts';
import { until } from '../../support/until.ts';

const fast: LinkTimes = {
  firstRetry: 5,
  lastRetry: 20,
  healthy: 60_000,
  renewal: 3_600_000,
  streams: 3_600_000,
  welcome: 2_000,
};
const welcome = (epoch: number, heartbeatSeconds = 10): OperatorMessage => ({
  type: 'welcome',
  replica: 'operator-0',
  epoch,
  heartbeatSeconds,
});

interface LinkChanges extends Partial<LinkTimes> {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Opened by the operator. */
  readonly openings?: Set<number>;
  /** Attempts to connect that fail at first. */
  readonly failures?: number;
}

interface Linked extends AsyncDisposable {
  readonly node: TestNode;
  readonly core: AgentCore;
  readonly operator: ScriptedOperator;
  /** Between the two. */
  readonly relay: Relay;
  readonly tokenFile: string;
}

async function startLinked(changes: LinkChanges = {}): Promise<Linked> {
  const { clock = systemClock, random = Math.random, openings, failures = 0, ...times } = changes;
  const stack = new AsyncDisposableStack();
  const node = stack.use(await startNode());
  const operator = stack.use(await ScriptedOperator.start());
  const relay = stack.use(await Relay.open(operator.port));
  const folder = await mkdtemp(join(tmpdir(), 'link-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'first token\n');
  const stop = new AbortController();
  const core = stack.use(
    await startCore(node, {
      listener: {
        changed: (changed) => link.changed(changed),
        removed: (removed) => link.removed(removed),
      },
    }),
  );
  const { host } = await node.connect();
  let attempts = 0;
  const link: OperatorLink = new OperatorLink({
    clock,
    random,
    logger: pino({ level: 'silent' }),
    supervisor: core.supervisor,
    agentVersion: '1.2.3',
    agentBootID: randomUUID(),
    times: { ...fast, ...times },
    dial: (signal) => {
      attempts += 1;
      if (attempts <= failures) return Promise.reject(new Error('no operator yet'));
      const url = `ws://127.0.0.1:${relay.port}${agentsPath}`;
      return dial(
        { url, tokenFile, caFile: undefined },
        { clock: systemClock, random: Math.random, openSocket: openWebSocket },
        signal,
      );
    },
    hostFacts: () => host.facts(),
    openStreams: () => streamsOf(openings ?? new Set()),
  });
  const running = link.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  return { node, core, operator, relay, tokenFile, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Streams that are open until the operator closes them. */
const streamsOf = (openings: Set<number>): SessionStreams => ({
  get size() {
    return openings.size;
  },
  open: ({ stream }) => openings.add(stream),
  receive: (message) => 'stream' in message && openings.delete(message.stream),
  forget: () => {},
  end: () => openings.clear(),
});

async function welcomed(linked: Linked, epoch = 1): Promise<Session> {
  const session = await linked.operator.session(epoch - 1);
  await session.hello();
  session.send(welcome(epoch));
  return session;
}

/** Waits pass five hundred times as fast, and are noted. */
function waiting(now: () => number): { readonly clock: Clock; readonly waits: number[] } {
  const waits: number[] = [];
  const after: Clock['after'] = (milliseconds, task) => {
    waits.push(milliseconds);
    return systemClock.after(milliseconds / 500, task);
  };
  return { clock: { now, after }, waits };
}

/** A clock by which only renewals wait: each pass ends the waits that are under way. */
function renewals(): { readonly clock: Clock; readonly pass: () => Promise<void> } {
  const { renewal } = defaultLinkTimes;
  const waiting = new Set<() => void>();
  const after: Clock['after'] = (milliseconds, task) => {
    if (milliseconds !== renewal && milliseconds !== renewal / 30) return systemClock.after(milliseconds, task);
    waiting.add(task);
    return { cancel: () => waiting.delete(task) };
  };
  const pass = async () => {
    await until('somebody waits', () => waiting.size > 0);
    for (const task of waiting) {
      waiting.delete(task);
      task();
    }
  };
  return { clock: { now: systemClock.now, after }, pass };
}

const generationIn = (message: AgentMessage) =>
  message.type === 'observed' ? message.virtualMachine['generation'] : undefined;
const isRunning = ({ virtualMachine }: { virtualMachine: Element }) =>
  virtualMachine['phase'] === 'Running' && JSON.stringify(virtualMachine['conditions']).includes('"Running"');

const linesOf = ({ guestLog }: Element) => z.object({ head: z.array(z.string()) }).parse(guestLog).head.length;

describe('a session', () => {
  it('begins with who the agent is and what it has', async () => {
    await using linked = await startLinked();
    const session = await linked.operator.session(0);
    const hello: Hello = await session.hello();
    expect(session.authorization).toBe('Bearer first token');
    expect(hello).toMatchObject({
      protocolVersions: ['lcow.v1'],
      agentVersion: '1.2.3',
      complete: true,
      host: { osBuild: 20348, architecture: 'amd64', logicalProcessors: 8 },
      virtualMachines: [],
    });
  });

  it('takes what shall be and says what is, up to the removal', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    session.send({ type: 'desired', epoch: 1, virtualMachines: [makeAssignment()], last: true });
    const { virtualMachine } = await session.next('observed', isRunning);
    expect(virtualMachine).toMatchObject({ uid, generation: 1, phase: 'Running' });
    session.send({ type: 'release', epoch: 1, uid });
    expect(await session.next('removed')).toEqual({ type: 'removed', uid });
  });

  it('ignores commands of another epoch', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    session.send({ type: 'release', epoch: 2, uid });
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment({ generation: 7 }) });
    await session.next('observed', ({ virtualMachine }) => virtualMachine['generation'] === 7);
    expect(session.messages.some(({ type }) => type === 'removed')).toBe(false);
  });

  it('has one epoch: neither a second welcome nor commands of an older one change anything', async () => {
    await using linked = await startLinked();
    const session = await linked.operator.session(0);
    await session.hello();
    session.send(welcome(5));
    session.send({ type: 'assign', epoch: 5, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    session.send(welcome(4));
    session.send({ type: 'release', epoch: 4, uid });
    session.send({ type: 'desired', epoch: 4, virtualMachines: [makeAssignment({ generation: 6 })], last: true });
    session.send({ type: 'assign', epoch: 5, virtualMachine: makeAssignment({ generation: 7 }) });
    await session.next('observed', ({ virtualMachine }) => virtualMachine['generation'] === 7);
    expect(session.messages.some(({ type }) => type === 'removed')).toBe(false);
    expect(session.messages.some((each) => generationIn(each) === 6)).toBe(false);
    expect((await linked.node.control.system(systemIdOf(uid)))?.state).toBe('Running');
  });

  it('takes nothing away that the operator does not mention', async () => {
    await using linked = await startLinked();
    const first = await welcomed(linked, 1);
    first.send({ type: 'desired', epoch: 1, virtualMachines: [makeAssignment()], last: true });
    await first.next('observed', isRunning);
    first.close(1001);
    const second = await welcomed(linked, 2);
    second.send({ type: 'desired', epoch: 2, virtualMachines: [], last: true });
    const hello = await second.hello();
    expect(hello.virtualMachines).toMatchObject([{ uid, phase: 'Running' }]);
    expect((await linked.node.control.system(systemIdOf(uid)))?.state).toBe('Running');
  });

  it('tells in its hello what is, without log text and devices, and all of it once it is welcomed', async () => {
    await using linked = await startLinked();
    const first = await welcomed(linked, 1);
    first.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await first.next('observed', ({ virtualMachine }) => isRunning({ virtualMachine }) && linesOf(virtualMachine) > 0);
    first.close(1001);
    const second = await linked.operator.session(1);
    const hello = await second.hello();
    expect(hello.virtualMachines).toMatchObject([
      { uid, abridged: true, phase: 'Running', guestLog: { head: [], tail: [] }, warnings: [] },
    ]);
    expect(hello.virtualMachines[0]).not.toHaveProperty('devices');
    expect(second.messages.filter(({ type }) => type === 'observed')).toEqual([]);
    second.send(welcome(2));
    const { virtualMachine } = await second.next('observed');
    expect(linesOf(virtualMachine)).toBeGreaterThan(0);
    expect(virtualMachine).toHaveProperty('devices');
    expect(virtualMachine).not.toHaveProperty('abridged');
  });

  it('ends with a malformed message, and the next one begins', async () => {
    await using linked = await startLinked();
    const first = await welcomed(linked);
    first.send('{"type":"nonsense"}');
    await until('the session ends', () => !first.open);
    const second = await welcomed(linked, 2);
    expect(second.open).toBe(true);
  });
});

describe('an assignment', () => {
  const refusedWith =
    (reason: string) =>
    ({ virtualMachine }: { virtualMachine: Element }) =>
      JSON.stringify(virtualMachine['conditions'] ?? []).includes(`"${reason}"`);

  it('with an unknown option fails that VM only', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    const other = { ...makeAssignment(), uid: randomUUID() };
    const unknown = { ...makeAssignment(), options: { FutureOption: true } };
    session.send({ type: 'desired', epoch: 1, virtualMachines: [unknown, other], last: true });
    await session.next(
      'observed',
      ({ virtualMachine }) => virtualMachine.uid === other.uid && isRunning({ virtualMachine }),
    );
    const { virtualMachine } = await session.next('observed', refusedWith('UnsupportedByAgent'));
    expect(JSON.stringify(virtualMachine)).toContain('FutureOption');
  });

  it('with an unknown option halts the VM all the same, which keeps the options that it has', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    const unknown = makeAssignment({ generation: 2, runStrategy: 'Halted' });
    session.send({
      type: 'assign',
      epoch: 1,
      virtualMachine: { ...unknown, options: { FutureOption: true } } as never,
    });
    const isHalted = ({ virtualMachine }: { virtualMachine: Element }) => virtualMachine['phase'] === 'Stopped';
    const { virtualMachine } = await session.next('observed', isHalted);
    expect(refusedWith('UnsupportedByAgent')({ virtualMachine })).toBe(true);
    expect(virtualMachine['generation']).toBe(2);
  });

  it('an intent is followed, with the options that the VM has', async () => {
    await using linked = await startLinked();
    const session = await linked.operator.session(0);
    expect((await session.hello()).capabilities).toContain(intentsCapability);
    session.send(welcome(1));
    const {
      options,
      optionsDigest: _,
      updateStrategy,
      ...intent
    } = makeAssignment({ generation: 2, restartedAt: 'now' });
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    session.send({ type: 'intent', epoch: 1, virtualMachine: intent });
    const isAgain = (message: { virtualMachine: Element }) =>
      isRunning(message) && message.virtualMachine['restartedAt'] === 'now';
    expect((await session.next('observed', isAgain)).virtualMachine).toMatchObject({ generation: 2, restarts: 1 });
  });

  it('whose options are not what the digest says is refused', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    const changed = { ...makeAssignment(), options: { MemorySizeInMB: 2 } };
    session.send({ type: 'assign', epoch: 1, virtualMachine: changed });
    await session.next('observed', refusedWith('ProtocolError'));
    expect(await linked.node.control.systems()).toEqual([]);
  });

  it('gets its policy from an earlier message, by its digest', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    const policy = Buffer.from('package policy').toString('base64');
    const digest = optionsDigest({ SecurityPolicy: policy });
    const assignment = { ...makeAssignment({ optionsDigest: digest }), policySHA256: sha256Hex(policy) };
    session.send({ type: 'assign', epoch: 1, virtualMachine: assignment });
    await session.next('observed', refusedWith('ProtocolError'));
    session.send({ type: 'policy', sha256: sha256Hex(policy), policy });
    session.send({ type: 'assign', epoch: 1, virtualMachine: assignment });
    await session.next('observed', isRunning);
    expect((await linked.node.control.system(systemIdOf(uid)))?.guest?.securityPolicy).toBe(policy);
  });
});

describe('guest logs', () => {
  it('are not sent, not even to an operator of the version before, which takes them', async () => {
    await using linked = await startLinked();
    const session = await linked.operator.session(0);
    await session.hello();
    session.send(JSON.stringify({ ...welcome(1), logWindow: 2048 }));
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    await linked.node.control.writeLog(systemIdOf(uid), '{"level":"info","msg":"more"}\n', 300);
    await until('the lines', () => linked.core.observed(uid).guestLog.total > 300);
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment({ generation: 2 }) });
    await session.next('observed', ({ virtualMachine }) => virtualMachine['generation'] === 2);
    expect(new Set(session.messages.map(({ type }) => type))).toEqual(new Set(['hello', 'observed']));
  });
});

describe('the link', () => {
  it('renews its connection before the old one ends, with a token read anew', async () => {
    await using linked = await startLinked({ renewal: 50 });
    const first = await welcomed(linked);
    await writeFile(linked.tokenFile, 'second token');
    const second = await linked.operator.session(1);
    await second.hello();
    expect(first.open).toBe(true);
    second.send(welcome(2));
    await until('the old one ends', () => !first.open);
    expect(second.authorization).toBe('Bearer second token');
    expect(second.open).toBe(true);
  });

  it.each(['before', 'after'])(
    'ends no stream that is opened during a renewal, shortly %s the welcome of the new session',
    async (when) => {
      const openings = new Set<number>();
      const { clock, pass } = renewals();
      await using linked = await startLinked({ ...defaultLinkTimes, clock, random: () => 0.5, openings });
      const first = await welcomed(linked);
      await pass();
      const second = await linked.operator.session(1);
      await second.hello();
      const open = async () => {
        first.send({ type: 'document', epoch: 1, stream: 1, uid, window: 4_096 });
        await until('the stream is open', () => openings.size === 1);
      };
      if (when === 'before') await open();
      second.send(welcome(2));
      second.send({ type: 'assign', epoch: 2, virtualMachine: makeAssignment() });
      await second.next('observed', isRunning);
      if (when === 'after') await open();
      for (let minutes = 0; minutes < 60; minutes += 1) await pass();
      expect(linked.operator.sessions).toHaveLength(2);
      expect(first.open).toBe(true);
      first.send({ type: 'streamClose', stream: 1 });
      await until('the stream is closed', () => openings.size === 0);
      await pass();
      await until('the first session ends', () => !first.open);
    },
  );

  it('obeys an old leader neither beside the session of the next one nor in its place', async () => {
    await using linked = await startLinked({ renewal: 50 });
    const first = await linked.operator.session(0);
    await first.hello();
    first.send(welcome(5));
    first.send({ type: 'assign', epoch: 5, virtualMachine: makeAssignment() });
    await first.next('observed', isRunning);
    // The connection that is to renew it reaches a leader of long ago.
    const old = await linked.operator.session(1);
    await old.hello();
    old.send(welcome(4));
    old.send({ type: 'desired', epoch: 4, virtualMachines: [makeAssignment({ generation: 3 })], last: true });
    old.send({ type: 'release', epoch: 4, uid });
    await until('it is turned away', () => !old.open);
    expect(first.open).toBe(true);
    const next = await linked.operator.session(2);
    const hello = await next.hello();
    expect(hello.virtualMachines).toMatchObject([{ uid, generation: 1, phase: 'Running' }]);
    next.send(welcome(6));
    next.send({ type: 'assign', epoch: 6, virtualMachine: makeAssignment({ generation: 7 }) });
    first.send({ type: 'release', epoch: 5, uid });
    await next.next('observed', ({ virtualMachine }) => virtualMachine['generation'] === 7);
    await until('the first one ends', () => !first.open);
    expect((await linked.node.control.system(systemIdOf(uid)))?.state).toBe('Running');
    expect(linked.core.removed.size).toBe(0);
  });

  it('gives a connection up that has gone silent without an end, and dials again', async () => {
    await using linked = await startLinked();
    const first = await linked.operator.session(0);
    await first.hello();
    first.send(welcome(1, 0.1));
    let pings = 0;
    const pinging = setInterval(() => {
      pings += 1;
      first.ping();
    }, 50);
    onTestFinished(() => clearInterval(pinging));
    await until('more heartbeats than may be missed', () => pings === 10);
    expect(linked.operator.sessions).toHaveLength(1);
    // Sooner than after three heartbeats of the default period, which last as long as the test waits.
    linked.relay.silence();
    const second = await welcomed(linked, 2);
    // Whoever was there before has not been told of it.
    expect(first.open).toBe(true);
    second.send({ type: 'assign', epoch: 2, virtualMachine: makeAssignment() });
    await second.next('observed', isRunning);
  });

  it('dials soon when a session of some seconds is lost, however long the first one had been tried', async () => {
    const { firstRetry, lastRetry } = defaultLinkTimes;
    let ahead = 0;
    const { clock, waits } = waiting(() => Date.now() + ahead);
    const slow = { ...defaultLinkTimes, welcome: 3_600_000 };
    await using linked = await startLinked({ ...slow, clock, random: () => 0.999, failures: 8 });
    const first = await welcomed(linked, 1);
    expect(waits).toContain(0.999 * lastRetry);
    ahead = 10_000;
    waits.length = 0;
    first.close(1011);
    await linked.operator.session(1);
    expect(waits).toContain(0.999 * firstRetry);
    expect(waits).not.toContain(0.999 * lastRetry);
  });

  it.each([
    ['is lost soon is dialled again soon', (session: Session) => session.cut(), 4],
    ['is closed soon is left for long', (session: Session) => session.close(4409), 2 ** 9],
  ] as const)('a session that %s', async (_how, end, retries) => {
    const { firstRetry, lastRetry } = defaultLinkTimes;
    const { clock, waits } = waiting(() => 0);
    const slow = { ...defaultLinkTimes, welcome: 3_600_000 };
    await using linked = await startLinked({ ...slow, clock, random: () => 0.999, failures: 8 });
    const first = await welcomed(linked, 1);
    waits.length = 0;
    end(first);
    await linked.operator.session(1);
    expect(waits).toContain(0.999 * Math.min(lastRetry, retries * firstRetry));
  });

  it('goes on with the old connection when a new one cannot be had', async () => {
    await using linked = await startLinked({ renewal: 50, welcome: 100 });
    const first = await welcomed(linked);
    await linked.operator.session(2);
    expect(first.open).toBe(true);
    first.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await first.next('observed', isRunning);
  });
});

describe('the address of the operator', () => {
  it.each([
    ['wss://lcow-operator.lcow-system.svc:8443/v1/agents', undefined],
    ['ws://127.0.0.1:8443/v1/agents', undefined],
    ['ws://operator:8443/v1/agents', 'not encrypted'],
    ['https://operator:8443', 'wss://'],
    ['operator', 'not a URL'],
    ['ws://[::1]:8443/v1/agents', undefined],
    ['ws://[fd00::1]:8443/v1/agents', 'not encrypted'],
  ])('%s', (url, problem) => {
    const found = urlProblem(url);
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(problem);
  });

  it.each([
    ['wss://fd00:10:96::7f:8443/v1/agents', 'wss://[fd00:10:96::7f]:8443/v1/agents'],
    ['ws://::1:8443/v1/agents', 'ws://[::1]:8443/v1/agents'],
    ['wss://fd00::1:8443', 'wss://[fd00::1]:8443'],
  ])('may be an IPv6 address as the kubelet inserts it: %s', (inserted, url) => {
    expect(bracketed(inserted)).toBe(url);
    expect(operatorUrl(inserted.replace('ws:', 'wss:'))).toBe(url.replace('ws:', 'wss:'));
    expect(urlProblem(bracketed(inserted))).toBeUndefined();
  });

  it.each([
    'wss://[fd00::1]:8443/v1/agents',
    'wss://10.96.0.7:8443/v1/agents',
    'wss://lcow-operator:8443/v1/agents',
    'wss://lcow-operator/v1:x/agents',
    'operator',
    'fd00::1:8443',
    '',
  ])('is left as it is: %j', (url) => {
    expect(bracketed(url)).toBe(url);
  });
});
