// What happens between an operator and its API server on bad days, on a real one: refusals, races, leaders by mistake.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { peerLimits } from '../../../operator/agents/peer.ts';
import type { ApiError } from '../../../operator/kubernetes/api-error.ts';
import { plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { Reflector } from '../../../operator/kubernetes/reflector.ts';
import { agentsPath, subprotocol } from '../../../protocol/messages.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { type ControlPlane, startControlPlane } from '../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../support/control-plane/custom-resources.ts';
import { type Fault, FaultyApi, type Seen } from '../../support/operator/faulty-api.ts';
import {
  alwaysElected,
  fasterClock,
  hostsPath,
  machinesPath,
  OperatorFixture,
  type RunningOperator,
  readyOf,
  until,
} from '../../support/operator/fixture.ts';
import { Relay } from '../../support/operator/relay.ts';
import { observedMachine, ScriptedAgent } from '../../support/operator/scripted-agent.ts';
import { EpochAudit } from '../../support/system/epochs.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let api: FaultyApi;
let operator: RunningOperator;
const agents: ScriptedAgent[] = [];
const others: RunningOperator[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ audited: true, controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
}, 120_000);

afterAll(() => controlPlane?.stop());

beforeEach(async () => {
  api = await FaultyApi.open(controlPlane.kubeconfigPath);
  operator = await fixture.start({ access: api.access, election: alwaysElected });
});

afterEach(async () => {
  for (const each of [operator, ...others.splice(0)]) await each.operator.stop();
  for (const agent of agents.splice(0)) await agent.disconnect();
  await api.close();
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

async function agentOn(nodeName: string, port = operator.agents): Promise<ScriptedAgent> {
  const known = await fixture.http.request({ method: 'GET', path: `/api/v1/nodes/${nodeName}` });
  if (!known.ok) await fixture.createNode(nodeName);
  const agent = new ScriptedAgent();
  agents.push(agent);
  await agent.connect(port, nodeName);
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
  return agent;
}

/** The agent of node-a on another connection, with the same VMs. */
async function successorOf({ machines }: ScriptedAgent, port = operator.agents): Promise<ScriptedAgent> {
  const agent = new ScriptedAgent();
  agents.push(agent);
  for (const [uid, machine] of machines) agent.machines.set(uid, machine);
  await until(async () => {
    await agent.connect(port, 'node-a').catch(() => {});
    const ended = agent.closed.then(() => false);
    return Promise.race([ended, until(() => agent.receivedOf('desired').some(({ last }) => last)).then(() => true)]);
  });
  return agent;
}

async function remove(...names: string[]): Promise<void> {
  for (const name of names) await fixture.delete(name);
  for (const name of names) await fixture.untilGone(name);
}

const writesVM = ({ method, path }: Seen) => method !== 'GET' && path.includes('/linuxutilityvms/');

/** Holds the first request back that is meant; `arrived` resolves when it is there. */
function holdFirst(meant: (seen: Seen) => boolean) {
  const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let held = false;
  api.fault = (seen): Fault | undefined => {
    if (held || !meant(seen)) return undefined;
    held = true;
    arrived.resolve();
    return { kind: 'Hold', until: released.promise };
  };
  return { arrived: arrived.promise, release: () => released.resolve() };
}

describe('an API server', () => {
  it('that refuses every second write for a conflict is written to all the same', async () => {
    const agent = await agentOn('node-a');
    let writes = 0;
    let refused = 0;
    api.fault = (seen) => {
      if (!writesVM(seen)) return undefined;
      writes += 1;
      if (writes % 2 === 0) return undefined;
      refused += 1;
      return { kind: 'Answer', code: 409, reason: 'Conflict' };
    };
    const { metadata } = await fixture.create('contested');
    const ready = await fixture.untilReady('contested');
    expect(ready.status.nodeName).toBe('node-a');
    agent.observe({ ...(agent.machines.get(metadata.uid) ?? observedMachine(metadata.uid)), restarts: 3 });
    await fixture.untilObject('contested', ({ status }) => status.restarts === 3);
    expect(refused).toBeGreaterThanOrEqual(4);
    await remove('contested');
  });

  it('that asks to come back later is left in peace until then', async () => {
    await agentOn('node-a');
    const at: number[] = [];
    api.fault = (seen) => {
      if (!writesVM(seen)) return undefined;
      at.push(performance.now());
      if (at.length > 1) return undefined;
      return { kind: 'Answer', code: 429, reason: 'TooManyRequests', headers: { 'retry-after': '1' } };
    };
    await fixture.create('patient');
    await fixture.untilReady('patient');
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(1_000);
    await remove('patient');
  });
});

describe('an object', () => {
  it('that is deleted and made anew while a status write is on its way leaves nothing on its successor', async () => {
    const agent = await agentOn('node-a');
    const first = await fixture.create('twice');
    await fixture.untilReady('twice');
    const { arrived, release } = holdFirst(({ method, path }) => method === 'PUT' && path.includes('/twice/status'));
    const machine = agent.machines.get(first.metadata.uid) ?? observedMachine(first.metadata.uid);
    agent.observe({ ...machine, restarts: 9 });
    await arrived;
    await fixture.delete('twice');
    await fixture.patch('twice', { metadata: { finalizers: [] } });
    agent.onAssign = () => {};
    const second = await fixture.create('twice');
    release();
    await fixture.untilObject('twice', ({ status }) => status.nodeName !== undefined);
    await until(() => agent.receivedOf('release').some(({ uid }) => uid === first.metadata.uid));
    const after = await fixture.get('twice');
    expect(after?.metadata.uid).toBe(second.metadata.uid);
    expect(after?.status.restarts ?? 0).toBe(0);
    expect(readyOf(after ?? second)?.status).toBe('False');
    await remove('twice');
  });

  it('that is deleted while its finalizer is on its way is gone, and nothing was started for it', async () => {
    const agent = await agentOn('node-a');
    const { arrived, release } = holdFirst(({ method, path }) => method === 'PATCH' && path.includes('/fleeting'));
    const { metadata } = await fixture.create('fleeting');
    await arrived;
    await fixture.delete('fleeting');
    await fixture.untilGone('fleeting');
    release();
    await fixture.create('next');
    await fixture.untilReady('next');
    expect(agent.assignments.has(metadata.uid)).toBe(false);
    await remove('next');
  });

  it('that is being deleted by others when it is first seen gets no finalizer and no host', async () => {
    const agent = await agentOn('node-a');
    const { arrived, release } = holdFirst(({ method, path }) => method === 'PATCH' && path.includes('/leaving'));
    const { metadata } = await fixture.create('leaving');
    await arrived;
    await fixture.patch('leaving', { metadata: { finalizers: ['example.com/held'] } });
    await fixture.delete('leaving');
    release();
    await fixture.create('next');
    await fixture.untilReady('next');
    const leaving = await fixture.get('leaving');
    expect(leaving?.metadata.finalizers).toEqual(['example.com/held']);
    expect(leaving?.status.nodeName).toBeUndefined();
    expect(agent.assignments.has(metadata.uid)).toBe(false);
    await fixture.patch('leaving', { metadata: { finalizers: [] } });
    await fixture.untilGone('leaving');
    await remove('next');
  });
});

describe('an agent', () => {
  it('that claims the VM of another node changes nothing about it, and is told to give it up', async () => {
    const owner = await agentOn('node-a');
    const { metadata } = await fixture.create('owned', { nodeName: 'node-a' });
    const before = await fixture.untilReady('owned');
    const liar = await agentOn('node-b');
    liar.observe(observedMachine(metadata.uid, { phase: 'Failed', restarts: 99 }));
    await until(() => liar.receivedOf('release').some(({ uid }) => uid === metadata.uid));
    liar.send({ type: 'removed', uid: metadata.uid });
    owner.observe({ ...(owner.machines.get(metadata.uid) ?? observedMachine(metadata.uid)), restarts: 1 });
    const after = await fixture.untilObject('owned', ({ status }) => status.restarts === 1);
    expect(after.status).toMatchObject({ nodeName: 'node-a', phase: 'Running', startTime: before.status.startTime });
    expect(owner.receivedOf('release')).toEqual([]);
    await remove('owned');
  });
});

/** Speaks on, and does not hear that its session has been ended. */
interface DeafAgent extends Disposable {
  readonly agent: ScriptedAgent;
  readonly socket: WebSocket;
}

async function deafAgentOn(nodeName: string, port: number, machines: ScriptedAgent['machines']): Promise<DeafAgent> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${agentsPath}`, [subprotocol], {
    headers: { authorization: `Bearer ${nodeName}` },
  });
  await once(socket, 'open');
  const agent = new ScriptedAgent();
  agents.push(agent);
  for (const [uid, machine] of machines) agent.machines.set(uid, machine);
  agent.attach(socket);
  agent.hello();
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
  socket.pause();
  // Else it would be waited for at its end.
  return { agent, socket, [Symbol.dispose]: () => socket.resume() };
}

describe('an agent of an old epoch', () => {
  it('that goes on speaking changes nothing, wherever its session was', async () => {
    const owner = await agentOn('node-a');
    const { uid } = (await fixture.create('spoken-of', { nodeName: 'node-a' })).metadata;
    const { startTime } = (await fixture.untilReady('spoken-of')).status;
    using first = await deafAgentOn('node-a', operator.agents, owner.machines);
    const rival = await fixture.start({ election: alwaysElected });
    others.push(rival);
    using second = await deafAgentOn('node-a', rival.agents, owner.machines);
    const current = await agentOn('node-a');
    for (const [each, machine] of owner.machines) current.machines.set(each, machine);
    const epochs = [first.agent, second.agent, current].flatMap((agent) => agent.receivedOf('welcome'));
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);

    const lies = observedMachine(uid, { phase: 'Failed', restarts: 99, startTime: '2020-01-01T00:00:00.000Z' });
    for (const { agent, socket } of [first, second]) {
      agent.send({ type: 'observed', virtualMachine: { ...lies, epoch: 1 } });
      agent.send({ type: 'logs', uid, boot: 1, first: 0, lines: ['long ago'] });
      agent.send({ type: 'removed', uid });
      await until(() => socket.bufferedAmount === 0);
    }
    current.observe({ ...observedMachine(uid), restarts: 1 });
    const told = await fixture.untilObject('spoken-of', ({ status }) => status.restarts === 1);
    expect(told.status).toMatchObject({ phase: 'Running', nodeName: 'node-a', startTime });
    for (const { agent, socket } of [first, second]) {
      agent.send({ type: 'removed', uid });
      await until(() => socket.bufferedAmount === 0);
    }
    current.onRelease = () => {};
    await fixture.delete('spoken-of');
    await until(() => current.receivedOf('release').length === 1);
    expect(await fixture.get('spoken-of')).toBeDefined();
    current.remove(uid);
    await fixture.untilGone('spoken-of');
    expect([first.agent, second.agent].flatMap((agent) => agent.receivedOf('release'))).toEqual([]);
  });
});

/** A session that sends bytes of its own making. */
async function rawSession(nodeName: string): Promise<Socket> {
  const socket = connect(operator.agents, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  const headers = [
    `GET ${agentsPath} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Sec-WebSocket-Protocol: ${subprotocol}`,
    `Authorization: Bearer ${nodeName}`,
  ];
  socket.write(`${headers.join('\r\n')}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  expect(String(answer)).toContain('101 Switching Protocols');
  return socket;
}

/** Once the other side has ended the connection, also by a reset: it need not read what it does not want. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', () => resolve())));

describe('a hostile client', () => {
  it('that sends a frame of 100 MB is cut off at its head and costs no memory', async () => {
    const size = 100 << 20;
    const socket = await rawSession('node-a');
    const before = process.memoryUsage.rss();
    const head = Buffer.alloc(14);
    head.writeUInt8(0x81, 0);
    head.writeUInt8(0x80 | 127, 1);
    head.writeBigUInt64BE(BigInt(size), 2);
    socket.write(head);
    const ended = closed(socket);
    const part = Buffer.alloc(1 << 20, 'x');
    let taken = 0;
    while (!socket.destroyed && taken < size) {
      taken += part.length;
      if (!socket.write(part)) await Promise.race([once(socket, 'drain').catch(() => {}), ended]);
    }
    await ended;
    expect(taken).toBeLessThan(size / 2);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20);
  });

  it('that sends ten times the messages that it may is made to wait, costs little memory, and others are served', async () => {
    const slowness = 10;
    // By this clock a second has ten of real time, so a busy machine, too, sends more than is allowed.
    await operator.operator.stop();
    operator = await fixture.start({ access: api.access, election: alwaysElected, clock: fasterClock(1 / slowness) });
    const owner = await agentOn('node-a');
    const bystander = await agentOn('node-b');
    const { metadata } = await fixture.create('flooded', { nodeName: 'node-a' });
    await fixture.untilReady('flooded');
    const machine = owner.machines.get(metadata.uid) ?? observedMachine(metadata.uid);
    using flood = await deafAgentOn('node-a', operator.agents, owner.machines);
    const before = process.memoryUsage.rss();
    let restarts = 0;
    const timer = setInterval(() => {
      // What the operator does not read yet is its own burden.
      for (let each = 0; each < 500 && flood.socket.bufferedAmount < 8 << 20; each += 1) {
        restarts += 1;
        flood.socket.send(JSON.stringify({ type: 'observed', virtualMachine: { ...machine, restarts } }));
      }
    }, 50);
    onTestFinished(() => clearInterval(timer));
    await until(async () => (await metric('lcow_unexpected_total{what="agent_too_many_messages"}')) > 0);

    const [countBefore, at] = [await observedMessages(), performance.now()];
    const { uid } = (await fixture.create('served', { nodeName: 'node-b' })).metadata;
    await fixture.untilReady('served');
    expect(bystander.machines.has(uid)).toBe(true);
    await until(async () => (await observedMessages()) > countBefore + 400);
    const rate = ((await observedMessages()) - countBefore) / ((performance.now() - at) / 1_000);
    expect(rate).toBeLessThan((2 * peerLimits.messages.perSecond) / slowness);
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 << 20);
    clearInterval(timer);
    flood.socket.terminate();
    await agentOn('node-a');
    await remove('flooded', 'served');
  });
});

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${operator.health}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

const observedMessages = () => metric('lcow_agent_messages_total{direction="received",type="observed"}');

describe('the next leader', () => {
  it('writes nothing about a VM before it has the newest epoch of its host', async () => {
    await agentOn('node-a');
    await fixture.create('inherited', { nodeName: 'node-a' });
    const left = await fixture.untilReady('inherited');
    await operator.operator.stop();
    const next = await fixture.start({ election: alwaysElected });
    others.push(next);
    await agentOn('node-b', next.agents);
    // Even of what needs no word from the agent; by the time that the bystander is ready it has been looked at.
    await fixture.patch('inherited', { metadata: { annotations: { 'lcow.dev/force-delete': 'true' } } });
    await fixture.delete('inherited');
    await fixture.create('bystander', { nodeName: 'node-b' });
    await fixture.untilReady('bystander');
    expect((await fixture.get('inherited'))?.status).toEqual(left.status);

    const back = new ScriptedAgent();
    agents.push(back);
    await back.connect(next.agents, 'node-a');
    await fixture.untilGone('inherited');
    const { outOfTurn } = new EpochAudit((await controlPlane.audit?.writes()) ?? []);
    expect(outOfTurn.filter(({ name, hasHost }) => name === 'inherited' && hasHost)).toEqual([]);
    await remove('bystander');
  });
});

describe('a restore of etcd from a backup', () => {
  it('takes the operator and its agents back to what was, and nothing of what came after stays', async () => {
    const first = await agentOn('node-a');
    await fixture.create('kept', { memory: { sizeInMB: 1024 } });
    await fixture.create('back', {});
    const { uid } = (await fixture.untilReady('kept')).metadata;
    const back = await fixture.untilReady('back');
    const restore = await controlPlane.backUp();
    await fixture.patch('kept', { spec: { memory: { sizeInMB: 2048 } } });
    await fixture.untilObject('kept', ({ status }) => status.observedGeneration === 2);
    await remove('back');
    const late = await fixture.create('late');
    await fixture.untilReady('late');
    // Epochs go back, too: one was taken by a replica that is gone.
    const rival = await fixture.start({ election: alwaysElected });
    await successorOf(first, rival.agents);
    await rival.operator.stop();
    await successorOf(first);
    await restore();
    const agent = await successorOf(first);

    // What is written about it is refused, and it is read.
    const observe = (restarts: number) =>
      agent.observe({ ...(agent.machines.get(uid) ?? observedMachine(uid)), restarts });
    observe(1);
    await until(() => agent.assignments.get(uid)?.options.MemorySizeInMB === 1024);
    observe(3);
    const kept = await fixture.untilObject('kept', ({ status }) => status.restarts === 3);
    expect(kept.status).toMatchObject({ observedGeneration: 1, nodeName: 'node-a', phase: 'Running' });
    await until(() => agent.machines.has(back.metadata.uid) && !agent.machines.has(late.metadata.uid));
    expect((await fixture.untilReady('back')).metadata.uid).toBe(back.metadata.uid);
    expect(agent.receivedOf('release').map((message) => message.uid)).toEqual([late.metadata.uid]);
    await fixture.create('next');
    await fixture.untilReady('next');
    await remove('kept', 'back', 'next');
  }, 120_000);
});

describe('two replicas that both take themselves for the leader', () => {
  const names = Array.from({ length: 12 }, (_, index) => `shared-${index}`);
  const isShared = ({ name }: { readonly name: string }) => names.includes(name);

  /** What is on its way when the epoch is taken still arrives; only the Lease keeps a leader from that. */
  it('start each VM once, and the one that has lost the epoch of a host writes nothing about it once it knows', async () => {
    const first = await agentOn('node-a');
    await fixture.create('shared-0');
    await fixture.untilReady('shared-0');
    const rival = await fixture.start({ election: alwaysElected });
    others.push(rival);
    const second = await agentOn('node-b', rival.agents);
    for (const name of names.slice(1, 6)) await fixture.create(name);
    // In the middle of it the agent of node-a finds itself at the other replica.
    const moved = new ScriptedAgent();
    agents.push(moved);
    for (const [uid, machine] of first.machines) moved.machines.set(uid, machine);
    const knows = first.closed;
    await moved.connect(rival.agents, 'node-a');
    expect((await knows).code).toBe(4503);
    for (const name of names.slice(6)) await fixture.create(name);
    for (const name of names) await fixture.untilReady(name);
    for (const uid of moved.machines.keys()) expect(second.machines.has(uid)).toBe(false);
    expect([first, second, moved].flatMap((agent) => agent.receivedOf('release'))).toEqual([]);
    const { writes, outOfTurn } = new EpochAudit((await controlPlane.audit?.writes()) ?? []);
    expect(new Set(writes.filter(isShared).map(({ replica }) => replica)).size).toBe(2);
    expect(outOfTurn.filter(({ name, hasHost }) => names.slice(6).includes(name) && hasHost)).toEqual([]);
    await remove(...names);
  }, 60_000);
});

describe('a connection that goes silent and is never closed', () => {
  it('to an agent is given up by the operator, which takes the agent in again on another one', async () => {
    const watchful = await fixture.start({ election: alwaysElected, heartbeatSeconds: 0.1 });
    others.push(watchful);
    await using relay = await Relay.open(watchful.agents);
    const first = await agentOn('node-a', relay.port);
    const sessions = async () => (await (await fetch(`http://127.0.0.1:${watchful.health}/metrics`)).text()) ?? '';
    await until(async () => (await sessions()).includes('lcow_agent_sessions 1'));
    relay.silence();
    await until(async () => (await sessions()).includes('lcow_agent_sessions 0'));
    // It has not been told either: it knows by what it misses itself.
    expect(await first.closed).toEqual({ code: 1006, reason: 'the other side is silent' });
    const again = await agentOn('node-a', relay.port);
    expect(again.isOpen).toBe(true);
  });

  it('to the API server costs a watch its connection, and nothing of what happens meanwhile', async () => {
    await using relay = await Relay.open(Number(api.access.server.port));
    const access = plainAccess(new URL(`http://127.0.0.1:${relay.port}`));
    const http = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test' });
    const failures: ApiError[] = [];
    let lists = 0;
    const reflector = new Reflector<VirtualMachine>({
      http,
      path: machinesPath,
      clock: systemClock,
      random: () => 0,
      parse: parseVirtualMachine,
      observer: {
        failed: (_path, error) => failures.push(error),
        listed: () => {
          lists += 1;
        },
        unexpected: () => {},
      },
      silenceMilliseconds: 300,
    });
    reflector.start();
    onTestFinished(() => reflector.stop());
    await reflector.waitForSync();
    await fixture.create('before', { runStrategy: 'Halted' });
    await until(() => reflector.get('default/before') !== undefined);
    relay.silence();
    await fixture.create('meanwhile', { runStrategy: 'Halted' });
    await remove('before');
    await until(
      () => reflector.get('default/meanwhile') !== undefined && reflector.get('default/before') === undefined,
    );
    expect(failures.map(({ reason }) => reason)).toContain('ConnectionFailed');
    expect(lists).toBe(1);
    await remove('meanwhile');
  });
});
