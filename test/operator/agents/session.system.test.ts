// The messages of a session between operator and agent.
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Acceptance } from '../../../operator/controller/hosts.ts';
import { grantedLogLines } from '../../../protocol/earlier-agents.ts';
import { intentsCapability } from '../../../protocol/intent.ts';
import { closeCodes, limits } from '../../../protocol/messages.ts';
import { desiredFor, Harness, hello, tokensAreNames, uidOf } from '../../support/operator/agent-server-bed.ts';
import { until } from '../../support/operator/fixture.ts';
import { someUid } from '../../support/operator/objects.ts';
import { observedMachine, ScriptedAgent } from '../../support/operator/scripted-agent.ts';

let harness: Harness;
beforeEach(async () => {
  harness = new Harness(tokensAreNames);
  await harness.start();
});
afterEach(() => harness.server.close());

describe('session', () => {
  it('welcomes with its epoch and sends the whole desired state, in parts whose last one is marked', async () => {
    harness.desired = Array.from({ length: 150 }, (_, index) => desiredFor(uidOf(index)));
    const agent = await harness.connectLive();
    expect(agent.received[0]).toMatchObject({ type: 'welcome', epoch: 7, replica: 'replica-1', heartbeatSeconds: 10 });
    expect(agent.receivedOf('desired').map(({ virtualMachines, last }) => [virtualMachines.length, last])).toEqual([
      [64, false],
      [64, false],
      [22, true],
    ]);
    expect(harness.events).toEqual(['live node-a']);
  });

  it('keeps each part within a frame, however large the options are', async () => {
    harness.desired = Array.from({ length: 60 }, (_, index) => desiredFor(uidOf(index), undefined, 40));
    const agent = await harness.connectLive();
    const parts = agent.receivedOf('desired');
    expect(parts.length).toBeGreaterThan(2);
    for (const part of parts) expect(Buffer.byteLength(JSON.stringify(part))).toBeLessThanOrEqual(limits.frameBytes);
    expect(parts.flatMap(({ virtualMachines }) => virtualMachines)).toHaveLength(60);
  });

  it('collects a hello in parts, including changes before the welcome', async () => {
    const gate = Promise.withResolvers<Acceptance>();
    harness.accept = () => gate.promise;
    const agent = new ScriptedAgent();
    agent.hello = () => {
      agent.send(hello([observedMachine(uidOf(1)), observedMachine(uidOf(2))], { last: false }));
      agent.send(hello([observedMachine(uidOf(3))]));
      agent.observe(observedMachine(uidOf(1), { phase: 'Stopped' }));
      agent.remove(uidOf(2));
    };
    await agent.connect(harness.port, 'node-a');
    gate.resolve({ ok: true, epoch: 1 });
    await until(() => agent.receivedOf('desired').length === 1);
    await until(() => harness.inventory.reportOf('node-a', uidOf(1))?.observed?.phase === 'Stopped');
    expect(harness.inventory.presence('node-a', uidOf(2))).toBe('Absent');
    expect(harness.inventory.presence('node-a', uidOf(3))).toBe('Present');
  });

  it('concludes nothing from an incomplete enumeration', async () => {
    const agent = new ScriptedAgent();
    agent.hello = () => agent.send(hello([], { complete: false }));
    await agent.connect(harness.port, 'node-a');
    await until(() => agent.receivedOf('desired').length === 1);
    expect(harness.inventory.presence('node-a', someUid)).toBe('Unknown');
  });

  it('sends an assignment once per change, preceded by its policy once per session', async () => {
    const agent = await harness.connectLive();
    const first = desiredFor(uidOf(1), 'cG9saWN5');
    for (let each = 0; each < 3; each += 1) harness.sessions.assign('node-a', first);
    const remembered = { ...first.assignment, remembered: { restarts: 9 } };
    harness.sessions.assign('node-a', { ...first, assignment: remembered });
    harness.sessions.assign('node-a', desiredFor(uidOf(2), 'cG9saWN5'));
    harness.sessions.assign('node-a', { ...first, assignment: { ...first.assignment, paused: true } });
    await until(() => agent.receivedOf('assign').length === 3);
    expect(agent.received.slice(2).map(({ type }) => type)).toEqual(['policy', 'assign', 'assign', 'assign']);
    expect(agent.receivedOf('assign').every(({ epoch }) => epoch === 7)).toBe(true);
  });

  it('treats an assigned VM as present until the agent reports that it is gone', async () => {
    const agent = await harness.connectLive();
    agent.onAssign = () => {};
    harness.sessions.assign('node-a', desiredFor(someUid));
    expect(harness.inventory.presence('node-a', someUid)).toBe('Present');
    harness.sessions.release('node-a', someUid);
    harness.sessions.release('node-a', someUid);
    expect(harness.sessions.hasReleased('node-a', someUid)).toBe(true);
    await until(() => harness.inventory.presence('node-a', someUid) === 'Absent');
    expect(agent.receivedOf('release')).toHaveLength(1);
  });

  it('does not take a removal for which an earlier session asked for the end of a VM that it has assigned', async () => {
    harness.desired = [desiredFor(someUid)];
    const agent = new ScriptedAgent();
    agent.onAssign = () => {};
    agent.hello = () => agent.send(hello([observedMachine(someUid, { phase: 'Stopping' })]));
    await agent.connect(harness.port, 'node-a');
    await until(() => harness.events.includes('live node-a'));
    agent.remove(someUid);
    await until(() => harness.inventory.reportOf('node-a', someUid) === undefined);
    expect(harness.inventory.presence('node-a', someUid)).toBe('Present');
    expect(harness.misbehaviour).toEqual([]);
    harness.sessions.assign('node-a', desiredFor(someUid));
    await until(() => agent.receivedOf('assign').length === 1);
    harness.sessions.release('node-a', someUid);
    await until(() => harness.inventory.presence('node-a', someUid) === 'Absent');
  });

  it('sends nothing about a VM between its release and the agent’s confirmation', async () => {
    const agent = await harness.connectLive();
    harness.sessions.assign('node-a', desiredFor(someUid));
    await until(() => agent.receivedOf('assign').length === 1);
    agent.onRelease = () => {};
    harness.sessions.release('node-a', someUid);
    await until(() => agent.receivedOf('release').length === 1);
    agent.observe(observedMachine(someUid, { phase: 'Stopping' }));
    await until(() => harness.inventory.reportOf('node-a', someUid)?.observed?.phase === 'Stopping');
    const { assignment } = desiredFor(someUid);
    harness.sessions.assign('node-a', { assignment: { ...assignment, generation: 9 }, policy: undefined });
    agent.remove(someUid);
    await until(() => harness.inventory.presence('node-a', someUid) === 'Absent');
    expect(agent.receivedOf('assign')).toHaveLength(1);
    harness.sessions.assign('node-a', { assignment: { ...assignment, generation: 9 }, policy: undefined });
    await until(() => agent.receivedOf('assign').length === 2);
  });

  it('sends intents for VMs whose options cannot be read before it marks the desired state complete', async () => {
    const halted = { uid: uidOf(7), generation: 3, runStrategy: 'Halted' as const };
    const intent = { ...halted, namespace: 'default', name: 'odd', paused: false, remembered: { restarts: 0 } };
    harness.desired = [{ intent }];
    const agent = new ScriptedAgent();
    agent.capabilities = [intentsCapability];
    await agent.connect(harness.port, 'node-a');
    await until(() => agent.receivedOf('desired').some(({ last }) => last));
    expect(agent.intents.get(uidOf(7))).toMatchObject(halted);
    const order = agent.received.map(({ type }) => type);
    expect(order.indexOf('intent')).toBeLessThan(order.lastIndexOf('desired'));
  });

  it('changes nothing when it ends, except that its host is away', async () => {
    const agent = await harness.connectLive();
    agent.observe(observedMachine(someUid));
    await until(() => harness.inventory.reportOf('node-a', someUid) !== undefined);
    await agent.disconnect();
    await until(() => harness.events.includes('ended node-a'));
    expect(harness.inventory.reportOf('node-a', someUid)).toBeDefined();
    expect(harness.sessions.count).toBe(0);
  });

  it('is replaced by a newer session of its node, and then only the end of the newer one counts', async () => {
    const older = await harness.connectLive();
    const newer = await harness.connectLive();
    expect((await older.closed).code).toBe(closeCodes.replaced);
    expect(harness.events).toEqual(['live node-a', 'live node-a']);
    await newer.disconnect();
    await until(() => harness.events.includes('ended node-a'));
  });

  it('is replaced by a newer one when the user streams through it have ended', async () => {
    const older = await harness.connectLive();
    const stream = harness.sessions.of('node-a')?.openStream({ type: 'document', uid: someUid });
    await until(() => older.receivedOf('document').length === 1);
    const newer = await harness.connectLive();
    older.observe(observedMachine(uidOf(9)));
    older.send({ type: 'streamOpened', stream: 1, window: 4_096 });
    expect(await stream?.beginning).toMatchObject({ ok: true });
    newer.observe(observedMachine(someUid));
    await until(() => harness.inventory.reportOf('node-a', someUid) !== undefined);
    expect(harness.inventory.reportOf('node-a', uidOf(9))).toBeUndefined();
    expect(older.isOpen).toBe(true);
    expect(harness.sessions.count).toBe(1);
    older.send({ type: 'streamClosed', stream: 1 });
    expect(await stream?.ending).toMatchObject({ ok: true });
    expect((await older.closed).code).toBe(closeCodes.replaced);
    expect(newer.isOpen).toBe(true);
    expect(harness.events).toEqual(['live node-a', 'live node-a']);
  });

  it.each([
    ['another replica has a newer one', () => harness.sessions.surrender('node-a'), closeCodes.shuttingDown],
    ['its Node is created again', () => harness.sessions.nodeIs('node-a', 'uid-of-another'), closeCodes.unauthorized],
    ['its agent goes', undefined, undefined],
  ])('that has only streams left ends with them when %s', async (_, act, code) => {
    const older = await harness.connectLive();
    const stream = harness.sessions.of('node-a')?.openStream({ type: 'document', uid: someUid });
    await until(() => older.receivedOf('document').length === 1);
    await harness.connectLive();
    if (act === undefined) await older.disconnect();
    else act();
    expect(await stream?.ending).toMatchObject({ ok: false, problem: 'SessionLost' });
    if (code !== undefined) expect((await older.closed).code).toBe(code);
  });

  it('that began before the current session of its node is not accepted, however late its turn comes', async () => {
    const gate = Promise.withResolvers<Acceptance>();
    let attempts = 0;
    harness.accept = () => {
      attempts += 1;
      return attempts === 1 ? gate.promise : Promise.resolve({ ok: true, epoch: 7 });
    };
    const early = new ScriptedAgent();
    early.hello = () => early.send(hello([observedMachine(uidOf(1), { restarts: 99 }), observedMachine(uidOf(2))]));
    await early.connect(harness.port, 'node-a');
    await until(() => attempts === 1);
    const late = new ScriptedAgent();
    late.machines.set(uidOf(1), observedMachine(uidOf(1)));
    await late.connect(harness.port, 'node-a');
    await until(() => late.receivedOf('desired').length === 1);
    gate.resolve({ ok: true, epoch: 7 });
    expect((await early.closed).code).toBe(closeCodes.replaced);
    expect(early.received).toEqual([]);
    expect(late.isOpen).toBe(true);
    expect(harness.inventory.reportOf('node-a', uidOf(1))?.observed?.restarts).toBe(0);
    expect(harness.inventory.presence('node-a', uidOf(2))).toBe('Absent');
    expect(harness.events).toEqual(['live node-a']);
  });

  it('ends when its epoch is refused, with the reason: permanently, or to dial again', async () => {
    harness.accept = () => Promise.resolve({ ok: false, retry: false, message: 'there is no Node node-a' });
    expect(await (await harness.connect()).closed).toMatchObject({
      code: closeCodes.unauthorized,
      reason: 'there is no Node node-a',
    });
    harness.accept = () => Promise.resolve({ ok: false, retry: true, message: 'not now' });
    expect((await (await harness.connect()).closed).code).toBe(closeCodes.shuttingDown);
    harness.accept = () => Promise.reject(new Error('boom'));
    expect((await (await harness.connect()).closed).code).toBe(1011);
  });

  it('ends alone when its agent sends what no agent sends', async () => {
    const bystander = await harness.connectLive();
    const twice = await harness.connect('node-b');
    twice.hello();
    expect((await twice.closed).code).toBe(closeCodes.malformed);
    const hasty = new ScriptedAgent();
    hasty.hello = () => hasty.observe(observedMachine(someUid));
    await hasty.connect(harness.port, 'node-c');
    expect((await hasty.closed).code).toBe(closeCodes.malformed);
    const stranger = new ScriptedAgent();
    stranger.hello = () => stranger.send(hello([], { protocolVersions: ['lcow.v9'] }));
    await stranger.connect(harness.port, 'node-d');
    expect((await stranger.closed).code).toBe(closeCodes.malformed);
    expect(harness.misbehaviour).toEqual(['second_hello', 'message_before_hello']);
    bystander.observe(observedMachine(someUid));
    await until(() => harness.inventory.reportOf('node-a', someUid) !== undefined);
  });

  it('bounds the VMs that an agent can report; it loses the VMs beyond the bound, but continues', async () => {
    const agent = await harness.connectLive();
    for (let index = 0; index <= limits.virtualMachinesPerHost; index += 1)
      agent.observe(observedMachine(uidOf(index)));
    agent.observe(observedMachine(uidOf(0), { restarts: 1 }));
    await until(() => harness.inventory.reportOf('node-a', uidOf(0))?.observed?.restarts === 1);
    expect(harness.inventory.reportedOn('node-a').size).toBe(limits.virtualMachinesPerHost);
    expect(harness.misbehaviour).toEqual(['too_many_virtual_machines']);
    expect(agent.isOpen).toBe(true);
  });

  it('lets an unreadable element affect only its own VM', async () => {
    const agent = await harness.connectLive();
    agent.observe(observedMachine(uidOf(1)));
    agent.send({ type: 'observed', virtualMachine: { uid: uidOf(1), phase: 'Dancing' } });
    agent.observe(observedMachine(uidOf(2)));
    await until(() => harness.inventory.reportOf('node-a', uidOf(2)) !== undefined);
    const report = harness.inventory.reportOf('node-a', uidOf(1));
    expect(report?.failure?.reason).toBe('ProtocolError');
    expect(report?.observed?.phase).toBe('Running');
    expect(harness.misbehaviour).toEqual(['unparsable_report']);
  });

  it('says that it understands changed networks, and passes them on', async () => {
    const agent = await harness.connectLive();
    expect(agent.receivedOf('welcome')[0]?.capabilities).toEqual(['networks']);
    const nat = { name: 'nat', id: someUid, type: 'NAT', subnets: [] };
    agent.send({ type: 'networks', network: { hnsVersion: '13.2', networks: [nat] } });
    await until(() => harness.events.includes('networks node-a 1'));
    const crowd = { networks: Array.from({ length: 65 }, () => nat) };
    agent.send({ type: 'networks', network: crowd });
    expect((await agent.closed).code).toBe(closeCodes.malformed);
  });

  it('accepts and discards the log lines of an agent of the previous version, and never blocks it', async () => {
    const agent = await harness.connectLive();
    const logs = { type: 'logs', uid: someUid, boot: 1 } as const;
    const lines = Array.from({ length: 256 }, () => 'a line');
    let first = 0;
    for (let window = 1; window <= 5; window += 1) {
      for (; first < window * grantedLogLines; first += lines.length) agent.send({ ...logs, first, lines });
      // Such an agent sends no more lines before these are acknowledged.
      await until(() => agent.receivedOf('logsAck').at(-1)?.sequence === first - 1);
    }
    agent.send({ ...logs, first, lines: [] });
    agent.send({ ...logs, boot: 2, first: 10, lines: ['after a gap'] });
    await until(() => agent.receivedOf('logsAck').at(-1)?.boot === 2);
    expect(agent.receivedOf('logsAck').at(-1)).toMatchObject({ uid: someUid, boot: 2, sequence: 10 });
    expect(harness.inventory.reportOf('node-a', someUid)).toBeUndefined();
    expect(harness.misbehaviour).toEqual([]);
  });

  it('makes an agent wait that sends too much, and loses nothing', async () => {
    // The limit is low, so that even a busy machine exceeds it within a second.
    const limit = { perSecond: 200, burst: 100 };
    const strict = new Harness(tokensAreNames, false, limit);
    await strict.start();
    onTestFinished(() => strict.server.close());
    const bystander = await strict.connect('node-b');
    await until(() => bystander.receivedOf('desired').length === 1);
    const agent = await strict.connectLive();
    const said = limit.burst + limit.perSecond;
    for (let restarts = 1; restarts <= said; restarts += 1) agent.observe(observedMachine(someUid, { restarts }));
    bystander.observe(observedMachine(uidOf(1)));
    await until(() => strict.inventory.reportOf('node-b', uidOf(1)) !== undefined, 1_000);
    await until(() => strict.inventory.reportOf('node-a', someUid)?.observed?.restarts === said);
    expect(strict.misbehaviour).toContain('too_many_messages');
    expect(strict.sessions.count).toBe(2);
  });

  it('waits for the previous session of its node, in a single place that a newer connection takes over', async () => {
    const silent = new ScriptedAgent();
    silent.hello = () => {};
    await silent.connect(harness.port, 'node-a');
    const given = await harness.connect();
    const newer = await harness.connect();
    expect((await given.closed).code).toBe(1006);
    expect(newer.received).toEqual([]);
    await silent.disconnect();
    await until(() => newer.receivedOf('desired').length === 1);
    expect(harness.events).toEqual(['live node-a']);
  });

  it('tells agents to dial again when the operator stops', async () => {
    const agent = await harness.connectLive();
    await harness.server.close();
    expect((await agent.closed).code).toBe(closeCodes.shuttingDown);
  });
});
