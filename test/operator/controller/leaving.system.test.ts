// VMs whose host is drained or away: their status, and when they run on another host.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { finalizer } from '../../../crds/linux-utility-vm.ts';
import type { Host, VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import type { Assignment, LastExit } from '../../../protocol/messages.ts';
import { type ControlPlane, startControlPlane } from '../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../support/control-plane/custom-resources.ts';
import {
  hostsPath,
  machinesPath,
  OperatorFixture,
  type RunningOperator,
  readyOf,
  until,
} from '../../support/operator/fixture.ts';
import { observedMachine, ScriptedAgent } from '../../support/operator/scripted-agent.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let operator: RunningOperator;
const agents: ScriptedAgent[] = [];
let names = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
}, 120_000);

afterAll(async () => {
  await controlPlane?.stop();
});

beforeEach(async () => {
  operator = await fixture.start();
});

afterEach(async () => {
  await operator.operator.stop();
  for (const agent of agents.splice(0)) await agent.disconnect();
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

const conditionOf = ({ status }: VirtualMachine, name: string) => status.conditions?.find(({ type }) => type === name);
const drainExit: LastExit = {
  type: 'ForcedExit',
  time: '2026-02-01T00:00:00.000Z',
  message: 'the VM was terminated by the agent',
};

async function node(): Promise<{ agent: ScriptedAgent; nodeName: string }> {
  names += 1;
  const nodeName = `node-${names}`;
  await fixture.createNode(nodeName);
  const agent = new ScriptedAgent();
  agents.push(agent);
  await agent.connect(operator.agents, nodeName);
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
  return { agent, nodeName };
}

const isDraining = (host: Host | undefined) =>
  host?.status.conditions?.some(({ type }) => type === 'Draining') === true;

async function setTaints(nodeName: string, taints: object[]): Promise<void> {
  const path = `/api/v1/nodes/${nodeName}`;
  await fixture.request({
    method: 'PATCH',
    path,
    contentType: 'application/merge-patch+json',
    body: { spec: { taints } },
  });
}

const drain = [{ key: 'lcow.dev/drain', effect: 'NoExecute' }];

function stopped({ uid, generation, optionsDigest }: Assignment, reason: string, lastExit?: LastExit) {
  const ok = reason === 'Halted' || reason === 'Completed';
  return observedMachine(uid, {
    generation,
    optionsDigest,
    wantedDigest: optionsDigest,
    phase: ok ? 'Stopped' : 'Failed',
    conditions: [{ type: 'Ready', status: ok ? 'True' : 'False', reason, message: reason }],
    ...(lastExit && { lastExit }),
  });
}

describe('a Once VM that a drain stopped', () => {
  it('reports that without a host, and how it ended, and is not run again', async () => {
    const { agent, nodeName } = await node();
    const { metadata } = await fixture.create('moves', { runStrategy: 'Once' });
    await fixture.untilReady('moves');
    agent.onRelease = (uid) => {
      agent.machines.delete(uid);
      agent.send({ type: 'removed', uid, lastExit: drainExit });
    };
    await setTaints(nodeName, drain);
    const left = await fixture.untilObject('moves', ({ status }) => status.phase === 'Failed');
    expect(left.status).toMatchObject({ lastExit: drainExit });
    expect(left.status.nodeName).toBeUndefined();
    expect(readyOf(left)).toMatchObject({ status: 'False', reason: 'HostDrained' });
    expect(conditionOf(left, 'Stalled')).toMatchObject({ status: 'True', reason: 'HostDrained' });
    expect([...agent.machines.keys()]).not.toContain(metadata.uid);
    await fixture.delete('moves');
    await fixture.untilGone('moves');
  });

  it('reports that on the host that it is bound to, even when the taint is removed', async () => {
    const { agent, nodeName } = await node();
    agent.onAssign = (assignment) => {
      if (assignment.runStrategy === 'Halted') agent.observe(stopped(assignment, 'Halted', drainExit));
      else if (agent.machines.get(assignment.uid)?.lastExit === undefined) agent.run(assignment);
      else agent.observe(stopped(assignment, 'AgentRestarted', drainExit));
    };
    await fixture.create('pinned', { runStrategy: 'Once', nodeName });
    await fixture.untilReady('pinned');
    await setTaints(nodeName, drain);
    await fixture.untilObject('pinned', (vm) => vm.status.phase === 'Stopped' && readyOf(vm)?.reason === 'HostDrained');
    await setTaints(nodeName, []);
    const after = await fixture.untilObject('pinned', ({ status }) => status.phase === 'Failed');
    expect(readyOf(after)?.reason).toBe('HostDrained');
    expect(conditionOf(after, 'Stalled')?.reason).toBe('HostDrained');
    expect(after.status.lastExit).toMatchObject(drainExit);
    await fixture.delete('pinned');
    await fixture.untilGone('pinned');
  });
});

describe('a VM that is bound to a host and rests there', () => {
  it.each([
    ['Halted', 'Halted'],
    ['RerunOnFailure', 'Completed'],
  ] as const)('stays ready while the host is drained: %s', async (runStrategy, reason) => {
    const { agent, nodeName } = await node();
    const name = `rests-${reason.toLowerCase()}`;
    await fixture.create(name, { nodeName });
    await fixture.untilReady(name);
    agent.onAssign = (assignment) => agent.observe(stopped(assignment, reason, { ...drainExit, type: 'GracefulExit' }));
    await fixture.patch(name, { spec: { runStrategy } });
    await fixture.untilObject(name, (vm) => readyOf(vm)?.reason === reason);
    await setTaints(nodeName, drain);
    // Otherwise the next VM could be placed before the operator knows of the taint.
    await until(async () => isDraining(await fixture.host(nodeName)));
    const other = await fixture.create(`${name}-other`, { nodeName });
    await fixture.untilObject(`${name}-other`, (vm) => readyOf(vm)?.reason === 'NoHostFits');
    expect(other.status.nodeName).toBeUndefined();
    expect(readyOf((await fixture.get(name)) ?? other)).toMatchObject({ status: 'True', reason });
    for (const each of [name, `${name}-other`]) {
      await fixture.delete(each);
      await fixture.untilGone(each);
    }
  });
});

it('a VM that is deleted while its agent is away shows no Running condition', async () => {
  const { agent } = await node();
  await fixture.create('deleted');
  await fixture.untilReady('deleted');
  await agent.disconnect();
  await fixture.delete('deleted');
  const waiting = await fixture.untilObject('deleted', (vm) => conditionOf(vm, 'Terminating') !== undefined);
  expect(waiting.status.phase).toBe('Unknown');
  expect(readyOf(waiting)?.status).toBe('Unknown');
  expect(readyOf(waiting)?.message).not.toContain('60 s');
  await fixture.patch('deleted', { metadata: { annotations: { 'lcow.dev/force-delete': 'true' } } });
  await fixture.untilGone('deleted');
});

it('a VM from a manifest is placed at once, whichever hosts are away and whatever finalizers the manifest has', async () => {
  const away = await node();
  await away.agent.disconnect();
  const { agent } = await node();
  const body = {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name: 'restored', finalizers: [finalizer] },
    spec: {},
  };
  await fixture.request({ method: 'POST', path: machinesPath, body });
  await fixture.untilReady('restored');
  expect(agent.machines.size).toBe(1);
  await fixture.delete('restored');
  await fixture.untilGone('restored');
});

it('a Node that is created again under its connected agent gets its host object again', async () => {
  const [gone, other] = [await node(), await node()];
  const hasHost = async ({ nodeName }: { nodeName: string }) =>
    JSON.stringify(await fixture.request({ method: 'GET', path: hostsPath })).includes(`"name":"${nodeName}"`);
  const deleteHost = async ({ nodeName }: { nodeName: string }) =>
    await fixture.request({ method: 'DELETE', path: `${hostsPath}/${nodeName}` });
  await until(async () => (await hasHost(gone)) && (await hasHost(other)));
  await fixture.request({ method: 'DELETE', path: `/api/v1/nodes/${gone.nodeName}` });
  await deleteHost(gone);
  // The record of this host comes back only after the operator has looked at the host without a Node.
  await deleteHost(other);
  await until(async () => await hasHost(other));
  expect(await hasHost(gone)).toBe(false);
  await fixture.createNode(gone.nodeName);
  await until(async () => await hasHost(gone));
});
