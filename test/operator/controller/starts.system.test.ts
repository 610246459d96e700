// Which VMs hold room, which VM gets it, and what proves that no host has a VM (design §10), on a real API server.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { finalizer, type LinuxUtilityVMManifestSpec } from '../../../crds/linux-utility-vm.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import type { Assignment, HostFacts } from '../../../protocol/messages.ts';
import { type ControlPlane, startControlPlane } from '../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../support/control-plane/custom-resources.ts';
import {
  fasterClock,
  hostsPath,
  machinesPath,
  OperatorFixture,
  type RunningOperator,
  readyOf,
  type StartOptions,
  until,
} from '../../support/operator/fixture.ts';
import { observedMachine, ScriptedAgent, someHost } from '../../support/operator/scripted-agent.ts';

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

afterAll(() => controlPlane?.stop());

beforeEach(async () => {
  operator = await fixture.start();
});

afterEach(async () => {
  await operator.operator.stop();
  for (const { metadata } of await fixture.list()) {
    await fixture.patch(metadata.name, { metadata: { finalizers: [] } });
    if (metadata.deletionTimestamp === undefined) await fixture.delete(metadata.name);
  }
  for (const agent of agents.splice(0)) await agent.disconnect();
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

/** Starts and stops VMs as it is told, and records when it is told to stop a running one. */
class ObedientAgent extends ScriptedAgent {
  readonly halted: string[] = [];

  override run(assignment: Assignment): void {
    const { uid, name, generation, optionsDigest, runStrategy } = assignment;
    const told = { generation, optionsDigest, wantedDigest: optionsDigest };
    if (runStrategy !== 'Halted') {
      this.observe(observedMachine(uid, told));
      return;
    }
    if (this.machines.get(uid)?.phase === 'Running') this.halted.push(name);
    const ready = { type: 'Ready', status: 'True', reason: 'Halted', message: 'halted' } as const;
    this.observe(observedMachine(uid, { ...told, phase: 'Stopped', conditions: [ready] }));
  }

  get running(): readonly string[] {
    const uids = [...this.machines.values()].filter(({ phase }) => phase === 'Running').map(({ uid }) => uid);
    return uids.map((uid) => this.assignments.get(uid)?.name ?? uid).sort();
  }
}

async function node(host: Partial<HostFacts> = {}): Promise<{ agent: ObedientAgent; nodeName: string }> {
  names += 1;
  const nodeName = `host-${names}`;
  await fixture.createNode(nodeName);
  const agent = new ObedientAgent();
  agents.push(agent);
  await connect(agent, nodeName, host);
  return { agent, nodeName };
}

async function connect(agent: ScriptedAgent, nodeName: string, host: Partial<HostFacts> = {}): Promise<void> {
  agent.received.length = 0;
  await agent.connect(operator.agents, nodeName, { ...someHost, ...host });
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
}

async function replaceOperator(options: StartOptions = {}): Promise<void> {
  await operator.operator.stop();
  operator = await fixture.start(options);
}

const start = (name: string) => fixture.patch(name, { spec: { runStrategy: 'Always' } });
const halt = (name: string) => fixture.patch(name, { spec: { runStrategy: 'Halted' } });
const conditionOf = ({ status }: VirtualMachine, name: string) => status.conditions?.find(({ type }) => type === name);
const isHalted = (object: VirtualMachine) =>
  readyOf(object)?.reason === 'Halted' && object.status.observedGeneration === object.metadata.generation;
const untilHalted = (name: string) => fixture.untilObject(name, isHalted);
const untilReason = (name: string, reason: string) =>
  fixture.untilObject(name, (object) => readyOf(object)?.reason === reason);
const untilRunning = (name: string) => untilReason(name, 'Running');
const giant: LinuxUtilityVMManifestSpec = { memory: { sizeInMB: 2 ** 40 } };
const sixtyPercent: LinuxUtilityVMManifestSpec = { memory: { sizeInMB: 39_322 } };

describe('a VM that is halted', () => {
  it('has no host before it must run, and is ready', async () => {
    const { agent } = await node();
    const { metadata } = await fixture.create('halted', { runStrategy: 'Halted' });
    const halted = await untilHalted('halted');
    expect(halted.status).toMatchObject({ phase: 'Stopped', observedGeneration: 1 });
    expect(halted.status.nodeName).toBeUndefined();
    expect(readyOf(halted)).toMatchObject({ status: 'True', reason: 'Halted' });
    expect(agent.assignments.has(metadata.uid)).toBe(false);
    await start('halted');
    await untilRunning('halted');
  });

  it('takes no room from others, however large it is, and reports when no host is large enough', async () => {
    const { nodeName } = await node();
    for (const name of ['giant-1', 'giant-2']) {
      await fixture.create(name, { ...giant, runStrategy: 'Halted', nodeName });
      await untilHalted(name);
    }
    await fixture.create('ordinary');
    await untilRunning('ordinary');
    await start('giant-1');
    const refused = await untilReason('giant-1', 'NoHostFits');
    expect(readyOf(refused)?.message).toContain('no host could ever hold it');
    expect(refused.status.nodeName).toBeUndefined();
  });

  it('stays on its host, holds no room there, and starts again only when there is room', async () => {
    const { agent, nodeName } = await node();
    await fixture.create('first', { ...sixtyPercent, nodeName });
    await untilRunning('first');
    await halt('first');
    const resting = await untilHalted('first');
    expect(resting.status).toMatchObject({ phase: 'Stopped', nodeName, lastNodeName: nodeName });
    expect(conditionOf(resting, 'Scheduled')).toMatchObject({ status: 'True', reason: 'Halted' });

    await fixture.create('second', { ...sixtyPercent, nodeName });
    await untilRunning('second');
    await start('first');
    const waiting = await untilReason('first', 'NoRoom');
    expect(waiting.status).toMatchObject({ phase: 'Stopped', nodeName });
    expect(conditionOf(waiting, 'Scheduled')).toMatchObject({ status: 'False', reason: 'NoRoom' });
    await until(() => agent.assignments.get(waiting.metadata.uid)?.generation === waiting.metadata.generation);
    expect(agent.assignments.get(waiting.metadata.uid)?.runStrategy).toBe('Halted');

    await replaceOperator();
    await connect(agent, nodeName);
    expect(agent.running).toEqual(['second']);
    await halt('second');
    const admitted = await untilRunning('first');
    expect(conditionOf(admitted, 'Scheduled')).toMatchObject({ status: 'True', reason: 'Admitted' });
    expect(agent.running).toEqual(['first']);
    expect(agent.halted).toEqual(['first', 'second']);
  });

  it('does not run beside another VM that started at the same time, even when the operator ends in between', async () => {
    const { agent, nodeName } = await node();
    const pair = ['left', 'right'];
    for (const name of pair) {
      await fixture.create(name, { ...sixtyPercent, nodeName });
      await untilRunning(name);
      await halt(name);
      await untilHalted(name);
    }
    await Promise.all(pair.map(start));
    await replaceOperator();
    await connect(agent, nodeName);
    const reasonsOf = async () =>
      (await Promise.all(pair.map((name) => fixture.get(name)))).map((o) => o && readyOf(o));
    await until(async () => {
      const reasons = (await reasonsOf()).map((ready) => ready?.reason);
      return reasons.includes('Running') && reasons.includes('NoRoom');
    });
    expect(agent.running).toHaveLength(1);
  });

  it('is placed again when another host has the room, and never runs on both', async () => {
    const first = await node();
    await fixture.create('mover', sixtyPercent);
    await untilRunning('mover');
    await halt('mover');
    const { metadata } = await untilHalted('mover');
    await fixture.create('stays', { ...sixtyPercent, nodeName: first.nodeName });
    await untilRunning('stays');
    await start('mover');
    await untilReason('mover', 'NoRoom');
    const second = await node();
    const moved = await untilRunning('mover');
    expect(moved.status).toMatchObject({ nodeName: second.nodeName, lastNodeName: second.nodeName });
    expect(moved.metadata.uid).toBe(metadata.uid);
    expect(first.agent.machines.has(metadata.uid)).toBe(false);
    expect(first.agent.receivedOf('release').map(({ uid }) => uid)).toEqual([metadata.uid]);
  });
});

it('a restart, a backoff and a reboot need no admission', async () => {
  const { agent, nodeName } = await node();
  const { metadata } = await fixture.create('crashes', { ...sixtyPercent, nodeName });
  await untilRunning('crashes');
  await fixture.request({
    method: 'PATCH',
    path: `/api/v1/nodes/${nodeName}`,
    contentType: 'application/merge-patch+json',
    body: { spec: { unschedulable: true } },
  });
  const running = agent.machines.get(metadata.uid) ?? observedMachine(metadata.uid);
  const backOff = { type: 'Ready', status: 'False', reason: 'BackOff', message: 'later' } as const;
  agent.observe({ ...running, phase: 'Failed', conditions: [backOff] });
  await untilReason('crashes', 'BackOff');
  await replaceOperator();
  await connect(agent, nodeName);
  expect(agent.assignments.get(metadata.uid)?.runStrategy).toBe('Always');
  agent.observe(running);
  await untilRunning('crashes');
  expect(agent.halted).toEqual([]);
});

it('with one host away and a new operator, VMs that no host has are placed, started and deleted', async () => {
  await replaceOperator({ clock: fasterClock(30) });
  const away = await node();
  await away.agent.disconnect();
  await until(async () => (await fixture.host(away.nodeName))?.status.session?.endedAt !== undefined);
  await fixture.create('pending', { nodeSelector: { rack: '1' } });
  await untilReason('pending', 'NoHostFits');
  await fixture.create('unwanted', { nodeSelector: { rack: '1' } });
  await untilReason('unwanted', 'NoHostFits');
  await fixture.create('halted', { runStrategy: 'Halted' });
  await untilHalted('halted');
  await operator.operator.stop();
  await fixture.patch('pending', { spec: { nodeSelector: null } });
  await start('halted');
  await fixture.delete('unwanted');
  operator = await fixture.start();
  await fixture.untilGone('unwanted');
  const here = await node();
  for (const name of ['pending', 'halted']) {
    expect((await untilRunning(name)).status.nodeName).toBe(here.nodeName);
  }
});

describe('a cluster that may have been restored', () => {
  it('makes VMs without a host wait for hosts that are away, except for VMs created later', async () => {
    const away = await node();
    await away.agent.disconnect();
    await fixture.create('restored', { nodeSelector: { rack: '1' } });
    await untilReason('restored', 'NoHostFits');
    const here = await node();
    await here.agent.disconnect();
    here.agent.lastEpoch = 99;
    await connect(here.agent, here.nodeName);
    const pending = await untilReason('restored', 'InventoryPending');
    expect(readyOf(pending)?.message).toMatch(
      new RegExp(`${away.nodeName}.*session 99, but the stored epoch is 1.*annotation lcow.dev/restored`),
    );
    const foundAt = operator.operator.restoration.pending?.at ?? Number.POSITIVE_INFINITY;
    await until(() => Date.now() > foundAt + 1_000);
    await fixture.create('created-since');
    expect((await untilRunning('created-since')).status.nodeName).toBe(here.nodeName);
    await connect(away.agent, away.nodeName);
    await untilReason('restored', 'NoHostFits');
    expect(operator.operator.restoration.pending).toBeUndefined();
  });

  it('is recognised by an agent that knows a later generation, after the API server is asked', async () => {
    const away = await node();
    await away.agent.disconnect();
    const here = await node();
    const { metadata } = await fixture.create('known');
    await untilRunning('known');
    const machine = here.agent.machines.get(metadata.uid) ?? observedMachine(metadata.uid);
    here.agent.observe({ ...machine, generation: 7 });
    await until(() => operator.operator.restoration.pending?.why.includes('generation 7') === true);
    expect((await fixture.get('known'))?.status.nodeName).toBe(here.nodeName);
    expect(here.agent.halted).toEqual([]);
  });
});

describe('an empty status', () => {
  it('is not made into a proof by a write while a host can have the VM', async () => {
    const away = await node();
    await away.agent.disconnect();
    await operator.operator.stop();
    const body = {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name: 'unproven', finalizers: [finalizer] },
      spec: {},
    };
    await fixture.request({ method: 'POST', path: machinesPath, body });
    for (let replica = 1; replica <= 2; replica += 1) {
      operator = await fixture.start();
      const pending = await untilReason('unproven', 'InventoryPending');
      expect(pending.status.observedGeneration ?? 0).toBe(0);
      expect(readyOf(pending)?.message).toContain(away.nodeName);
      if (replica === 1) await operator.operator.stop();
    }
    await connect(away.agent, away.nodeName);
    await untilRunning('unproven');
  });
});

describe('an agent that claims a VM without a host', () => {
  const snp = { confidential: { securityPolicy: 'eA==' } };

  it('is sent nothing about a VM that must not be there, and is told to remove it', async () => {
    const liar = await node();
    const { metadata } = await fixture.create('claimed', snp);
    await untilReason('claimed', 'NoHostFits');
    liar.agent.onRelease = () => {};
    liar.agent.observe(observedMachine(metadata.uid, { generation: 1 }));
    await until(() => liar.agent.receivedOf('release').some(({ uid }) => uid === metadata.uid));
    await until(async () => (await fixture.events(metadata.uid)).some(({ reason }) => reason === 'ClaimRefused'));
    expect((await fixture.get('claimed'))?.status.nodeName).toBeUndefined();
    expect(liar.agent.receivedOf('assign')).toEqual([]);
    expect(liar.agent.receivedOf('policy')).toEqual([]);

    const honest = await node({ isolation: ['SNP'] });
    expect((await untilRunning('claimed')).status.nodeName).toBe(honest.nodeName);
    await fixture.create('deleted', { ...snp, nodeSelector: { rack: '1' } });
    const pending = await untilReason('deleted', 'NoHostFits');
    liar.agent.observe(observedMachine(pending.metadata.uid));
    await fixture.delete('deleted');
    await fixture.untilGone('deleted');
  });

  it('keeps a VM that was placed there before, whatever the labels say now', async () => {
    const { agent, nodeName } = await node({ isolation: ['SNP'] });
    const { metadata } = await fixture.create('kept', snp);
    await untilRunning('kept');
    await operator.operator.stop();
    const stored = await fixture.get('kept');
    const { name, uid, resourceVersion } = stored?.metadata ?? metadata;
    await fixture.request({
      method: 'PUT',
      path: `${machinesPath}/kept/status`,
      body: {
        apiVersion: 'lcow.dev/v1alpha1',
        kind: 'LinuxUtilityVM',
        metadata: { name, namespace: 'default', uid, resourceVersion },
        status: { lastNodeName: nodeName },
      },
    });
    operator = await fixture.start();
    await connect(agent, nodeName);
    const back = await untilRunning('kept');
    expect(back.status.nodeName).toBe(nodeName);
    expect(agent.receivedOf('release')).toEqual([]);
  });
});

it('a VM that was torn down says so, and holds no room, while a foreign finalizer keeps its object', async () => {
  const { nodeName } = await node();
  await fixture.create('held', { ...sixtyPercent, nodeName });
  await untilRunning('held');
  await fixture.patch('held', { metadata: { finalizers: [finalizer, 'example.com/held'] } });
  await fixture.delete('held');
  const held = await fixture.untilObject('held', ({ metadata }) => metadata.finalizers?.includes(finalizer) === false);
  expect(held.status).toMatchObject({ phase: 'Stopped', lastNodeName: nodeName });
  expect(held.status.nodeName).toBeUndefined();
  expect(readyOf(held)?.status).toBe('False');
  expect(conditionOf(held, 'Terminating')?.message).toContain('example.com/held');
  await fixture.create('next', { ...sixtyPercent, nodeName });
  await untilRunning('next');
  await fixture.patch('held', { metadata: { finalizers: [] } });
  await fixture.untilGone('held');
});
