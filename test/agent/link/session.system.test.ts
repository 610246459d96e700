import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import type { AgentMessage, Element, Hello } from '../../../protocol/messages.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { isRunning, startLinked, welcome, welcomed } from '../../support/agent/linked-agent.ts';
import { until } from '../../support/until.ts';

const generationIn = (message: AgentMessage) =>
  message.type === 'observed' ? message.virtualMachine['generation'] : undefined;
const linesOf = ({ guestLog }: Element) => z.object({ head: z.array(z.string()) }).parse(guestLog).head.length;

describe('a session', () => {
  it('begins with the identity of the agent and its VMs', async () => {
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

  it('starts an assigned VM, reports it, and removes it when it is released', async () => {
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

  it('has one epoch: a second welcome and commands of an older epoch change nothing', async () => {
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

  it('keeps VMs that the operator does not mention', async () => {
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

  it('reports its VMs in the hello without log text and devices, and completely once it is welcomed', async () => {
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

  const nat = { name: 'nat', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01', type: 'NAT', subnets: ['172.20.0.0/16'] };
  const lan = { ...nat, name: 'lan', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a02' };

  it('tells the networks of the host with its hello, and again when they change', async () => {
    await using linked = await startLinked({ networks: { networks: [nat] } });
    const session = await linked.operator.session(0);
    expect((await session.hello()).host.network).toEqual({ networks: [nat] });
    // They change before the operator has said what it understands.
    linked.tellNetworks({ networks: [] });
    session.send(JSON.stringify({ ...welcome(1), capabilities: ['networks', 'later'] }));
    expect(await session.next('networks')).toEqual({ type: 'networks', network: { networks: [] } });
    linked.tellNetworks({ networks: [] });
    linked.tellNetworks({ hnsVersion: '13.2', networks: [nat, lan] });
    await session.next('networks', ({ network }) => network.networks.length === 2);
    expect(session.messages.filter(({ type }) => type === 'networks')).toHaveLength(2);
  });

  it('tells an operator of the previous version no changed networks, which would end the session', async () => {
    await using linked = await startLinked({ networks: { networks: [nat] } });
    const session = await welcomed(linked);
    linked.tellNetworks({ networks: [nat, lan] });
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    expect(session.messages.some(({ type }) => type === 'networks')).toBe(false);
  });

  it('ends with a malformed message, and the agent dials again', async () => {
    await using linked = await startLinked();
    const first = await welcomed(linked);
    first.send('{"type":"nonsense"}');
    await until('the session ends', () => !first.open);
    const second = await welcomed(linked, 2);
    expect(second.open).toBe(true);
  });
});

describe('guest logs', () => {
  it('are not sent, not even to an operator of the previous version, which accepts them', async () => {
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
