import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  apiVersion,
  restartedAtAnnotation,
  setLabel,
  virtualMachinePlural,
} from '../../../../crds/linux-utility-vm.ts';
import type { CommandPorts } from '../../../../kubectl/commands.ts';
import { pause, restart, resume, undo } from '../../../../kubectl/rollout/change.ts';
import { history } from '../../../../kubectl/rollout/history.ts';
import { rolloutPlan } from '../../../../kubectl/rollout/plan.ts';
import { rolloutStatus } from '../../../../kubectl/rollout/status.ts';
import { parseSet, type VirtualMachine } from '../../../../operator/kubernetes/objects.ts';
import { type KStatus, kstatusOf } from '../../../support/charts/kstatus.ts';
import { type ControlPlane, startControlPlane } from '../../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../../support/control-plane/custom-resources.ts';
import { kubectl } from '../../../support/control-plane/kubectl.ts';
import { runAt, StandInTerminal } from '../../../support/kubectl/stand-in-terminal.ts';
import {
  hostsPath,
  machinesPath,
  OperatorFixture,
  type RunningOperator,
  readyOf,
  until,
} from '../../../support/operator/fixture.ts';
import { ScriptedAgent } from '../../../support/operator/scripted-agent.ts';

const setsPath = `/apis/${apiVersion}/namespaces/default/linuxutilityvmsets`;

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let operator: RunningOperator;
const agents: ScriptedAgent[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ audited: true, controllers: false });
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
  for (const agent of agents) {
    agent.onRelease = (uid) => agent.remove(uid);
    for (const { uid } of agent.receivedOf('release')) agent.remove(uid);
  }
  await fixture.request({ method: 'DELETE', path: setsPath });
  for (const { metadata } of await fixture.list()) await fixture.delete(metadata.name).catch(() => {});
  await until(async () => (await fixture.list()).length === 0);
  await operator.operator.stop();
  for (const agent of agents.splice(0)) await agent.disconnect();
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

async function connect(nodeName: string, spec: { unschedulable?: boolean } = {}): Promise<ScriptedAgent> {
  await fixture.createNode(nodeName, spec);
  const agent = new ScriptedAgent();
  agents.push(agent);
  await agent.connect(operator.agents, nodeName);
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
  return agent;
}

async function create(name: string, spec: object): Promise<void> {
  const body = { apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name }, spec };
  await fixture.request({ method: 'POST', path: setsPath, body });
}

const read = (name: string) => fixture.request({ method: 'GET', path: `${setsPath}/${name}` });

async function status(name: string) {
  const set = parseSet(await read(name));
  if (set === undefined) throw new Error('no set');
  return set.status;
}

async function change(name: string, spec: object): Promise<void> {
  const contentType = 'application/merge-patch+json';
  await fixture.request({ method: 'PATCH', path: `${setsPath}/${name}`, contentType, body: { spec } });
}

async function untilJudged(name: string, expected: KStatus): Promise<void> {
  await until(async () => kstatusOf(await read(name)) === expected).catch(async (error: unknown) => {
    throw new Error(`${String(error)}\n${JSON.stringify(await read(name), undefined, 2)}`);
  });
}

async function members(name: string): Promise<readonly VirtualMachine[]> {
  const all = (await fixture.list()).filter(({ metadata }) => metadata.labels?.[setLabel] === name);
  return [...all].sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
}
const namesOf = (machines: readonly VirtualMachine[]) => machines.map(({ metadata }) => metadata.name);
const uidsOf = (machines: readonly VirtualMachine[]) => machines.map(({ metadata }) => metadata.uid);
const restartsOf = (machines: readonly VirtualMachine[]) =>
  machines.map(({ metadata }) => metadata.annotations?.[restartedAtAnnotation]);
const reasonOf = async (name: string) => (await status(name)).conditions?.find(({ type }) => type === 'Ready')?.reason;
const memory = (sizeInMB: number) => ({ memory: { sizeInMB } });

describe('a set', () => {
  it('makes its VMs, scales, changes them while they run, restarts them, and takes a restart back', async () => {
    await connect('one');
    await create('x', { replicas: 3, template: { spec: memory(1024) } });
    expect(kstatusOf(await read('x'))).toBe('InProgress');
    await untilJudged('x', 'Current');
    const first = await members('x');
    expect(namesOf(first)).toEqual(['x-0', 'x-1', 'x-2']);
    expect(await status('x')).toMatchObject({
      replicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      updatedReplicas: 3,
    });
    // Made with the finalizer, placed, ready.
    const writes = ((await controlPlane.audit?.writes()) ?? []).filter(
      ({ resource }) => resource === virtualMachinePlural,
    );
    for (const { metadata } of first) {
      const ofMachine = writes.filter(({ name }) => name === metadata.name);
      expect(ofMachine.map(({ subresource }) => subresource ?? 'spec')).toEqual(['spec', 'status', 'status']);
    }

    await kubectl(controlPlane, ['scale', 'luvmset/x', '--replicas=4']);
    await until(async () => (await status('x')).availableReplicas === 4);
    await kubectl(controlPlane, ['scale', 'luvmset/x', '--replicas=3']);
    await until(async () => (await members('x')).length === 3);
    await untilJudged('x', 'Current');

    await change('x', { template: { spec: memory(2048) } });
    await untilJudged('x', 'Current');
    const changed = await members('x');
    expect(uidsOf(changed)).toEqual(uidsOf(first));
    expect(restartsOf(changed)).toEqual([undefined, undefined, undefined]);
    expect(changed.map(({ spec }) => spec.ok && spec.value.memory.sizeInMB)).toEqual([2048, 2048, 2048]);

    await change('x', { template: { spec: { boot: { kernelOptions: 'quiet' } } } });
    await untilJudged('x', 'Current');
    const restarted = await members('x');
    expect(uidsOf(restarted)).toEqual(uidsOf(first));
    expect(new Set(restartsOf(restarted)).size).toBe(3);

    await change('x', { template: { spec: { boot: null } } });
    await untilJudged('x', 'Current');
    expect(uidsOf(await members('x'))).toEqual(uidsOf(first));
    const revisions = await kubectl(controlPlane, ['get', 'controllerrevisions', '-l', 'lcow.dev/set=x', '-o', 'name']);
    expect(revisions.trim().split('\n')).toHaveLength(3);
  });

  it('is followed and directed by kubectl luvm rollout', async () => {
    const agent = await connect('five');
    await create('r', { replicas: 2, template: { spec: memory(1024) } });
    const plugin = (command: (ports: CommandPorts) => Promise<number>) =>
      runAt(new StandInTerminal(), controlPlane.kubeconfigPath, command);
    const follow = () => plugin((ports) => rolloutStatus('r', { watch: true, timeoutMilliseconds: 60_000 }, ports));
    expect(await follow()).toMatchObject({ code: 0, stdout: expect.stringMatching(/rolled out: 2 of 2 VMs have/) });

    const processor = { count: 2 };
    const manifest = { apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name: 'r' } };
    const text = JSON.stringify({
      ...manifest,
      spec: { replicas: 3, template: { spec: { ...memory(512), processor } } },
    });
    const options = { file: 'f', serverSide: false, fieldManager: 'kubectl', forceConflicts: false };
    const planned = await plugin((ports) => rolloutPlan({ ...options, readFile: async () => text }, ports));
    expect(planned.stdout).toMatch(
      /memory\.sizeInMB +1024 +512 +live change\n.*processor\.count .*restart\nreplicas .*2 +3/,
    );
    expect(planned.stdout.trimEnd().split('\n').slice(-3)).toEqual([
      '1. 1 VM made: r-2',
      expect.stringMatching(/^2\. 2 VMs changed while running, .*: r-1, r-0$/),
      expect.stringMatching(/^3\. 2 VMs restarted, .*: r-1, r-0$/),
    ]);
    expect((await members('r')).length).toBe(2);

    const usual = agent.onAssign;
    agent.onAssign = (assignment) => {
      const known = agent.machines.get(assignment.uid);
      if (assignment.options.KernelBootOptions !== 'bad' || known === undefined) return usual(assignment);
      const stalled = { reason: 'DocumentRefused', message: 'no \u001b[2J kernel' } as const;
      const conditions = [
        { type: 'Ready', status: 'False', ...stalled },
        { type: 'Stalled', status: 'True', ...stalled },
      ] as const;
      const { generation, optionsDigest, restartedAt } = assignment;
      const told = { generation, optionsDigest, wantedDigest: optionsDigest, ...(restartedAt && { restartedAt }) };
      agent.observe({ ...known, ...told, phase: 'Failed', conditions: [...conditions] });
    };
    await change('r', { template: { spec: { boot: { kernelOptions: 'bad' } } } });
    await kubectl(controlPlane, ['annotate', 'luvmset/r', 'kubernetes.io/change-cause=a bad kernel']);
    const stuck = await follow();
    expect([stuck.code, stuck.stderr]).toEqual([1, expect.stringMatching(/r-1 \(new revision\): Stalled.*\\x1b\[2J/)]);

    const shown = await plugin((ports) => history('r', {}, ports));
    expect(shown.stdout).toMatch(/^1 +r-\S+ +1 .*\n2 +r-\S+ +1 .*a bad kernel\n/m);
    expect((await plugin((ports) => undo({ names: ['r'] }, ports))).stdout).toContain('rolled back to revision 1');
    expect(await follow()).toMatchObject({ code: 0, stderr: '' });
    await plugin((ports) => pause({ names: ['r'] }, ports));
    await plugin((ports) => restart({ names: ['r'] }, ports));
    await until(async () => (await status('r')).conditions?.some(({ type }) => type === 'Paused') === true);
    expect((await follow()).stderr).toContain('paused, with 2 VMs without the present template');
    await plugin((ports) => resume({ names: ['r'] }, ports));
    expect(await follow()).toMatchObject({ code: 0, stderr: '' });
  });

  it('a drain takes its VMs within the budget, and at once with the value now', async () => {
    const first = await connect('left');
    await create('d', { replicas: 3, template: { spec: memory(512) } });
    await untilJudged('d', 'Current');
    await connect('right');
    const released: string[] = [];
    first.onRelease = (uid) => released.push(uid);
    await kubectl(controlPlane, ['taint', 'node', 'left', 'lcow.dev/drain=:NoExecute']);
    await until(() => released.length === 1);
    await until(async () => (await status('d')).disruptionsAllowed === 0);
    expect(released).toHaveLength(1);
    const draining = async () =>
      (await fixture.host('left'))?.status.conditions?.find(({ type }) => type === 'Draining');
    await until(async () => (await draining())?.message === 'waits for the budgets of default/d (2 VMs)');
    first.onRelease = (uid) => first.remove(uid);
    first.remove(released[0] ?? '');
    await until(async () => (await members('d')).every((each) => each.status.nodeName === 'right'));
    await untilJudged('d', 'Current');
    await kubectl(controlPlane, ['taint', 'node', 'left', 'lcow.dev/drain-']);
    await until(async () => (await draining()) === undefined);
    await kubectl(controlPlane, ['taint', 'node', 'right', 'lcow.dev/drain=now:NoExecute']);
    await until(async () => (await members('d')).every((each) => each.status.nodeName === 'left'));
    await untilJudged('d', 'Current');
  });

  it('adopts a VM with its label and name without a restart, and leaves a foreign VM alone', async () => {
    await connect('two');
    const labels = { [setLabel]: 'a' };
    for (const [name, own] of [
      ['a-0', labels],
      ['a-1', {}],
    ] as const) {
      const body = { apiVersion, kind: 'LinuxUtilityVM', metadata: { name, labels: own }, spec: memory(1024) };
      await fixture.request({ method: 'POST', path: machinesPath, body });
      await fixture.untilReady(name);
    }
    const before = await fixture.get('a-0');
    await create('a', { replicas: 3, template: { spec: memory(1024) } });
    await untilJudged('a', 'Failed');
    expect(await reasonOf('a')).toBe('NameConflict');
    expect(namesOf(await members('a'))).toEqual(['a-0', 'a-2']);
    const adopted = await fixture.get('a-0');
    expect(adopted?.metadata).toMatchObject({ uid: before?.metadata.uid, generation: 1 });
    expect(adopted?.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'LinuxUtilityVMSet', name: 'a' });
    expect((await fixture.get('a-1'))?.metadata.ownerReferences).toBeUndefined();
    await fixture.delete('a-1');
    await untilJudged('a', 'Current');

    await fixture.patch('a-2', { metadata: { labels: { [setLabel]: null } } });
    await until(async () => (await fixture.get('a-2'))?.metadata.ownerReferences?.length !== 1);
    await until(async () => (await reasonOf('a')) === 'NameConflict');
  });

  it('that is being deleted counts what is left of it, and makes nothing', async () => {
    const agent = await connect('four');
    await create('e', { replicas: 2, template: { spec: memory(1024) } });
    await untilJudged('e', 'Current');
    const body = { propagationPolicy: 'Foreground' };
    await fixture.request({ method: 'DELETE', path: `${setsPath}/e`, body });
    const messageOf = async () => (await status('e')).conditions?.find(({ type }) => type === 'Ready')?.message;
    await until(async () => (await messageOf()) === 'the set is being deleted, and 2 VMs are still there');
    agent.onRelease = (uid) => agent.remove(uid);
    await fixture.delete('e-1');
    await until(async () => (await messageOf()) === 'the set is being deleted, and 1 VM is still there');
    expect(await status('e')).toMatchObject({ replicas: 1, readyReplicas: 1, disruptionsAllowed: 0 });
    expect(namesOf(await members('e'))).toEqual(['e-0']);
    // The garbage collector is not part of this control plane.
    const contentType = 'application/merge-patch+json';
    await fixture.request({
      ...{ method: 'PATCH', path: `${setsPath}/e`, contentType },
      body: { metadata: { finalizers: null } },
    });
    await until(async () => (await read('e').catch(() => undefined)) === undefined);
  });

  it('a template that the API server refuses stalls, and recovers with its correction', async () => {
    await connect('three');
    const pipe = { console: { pipe: '\\\\.\\pipe\\shared' } };
    await create('p', { replicas: 2, template: { spec: pipe } });
    await untilJudged('p', 'Failed');
    expect(await reasonOf('p')).toBe('TemplateInvalid');
    expect(await members('p')).toEqual([]);
    await change('p', { template: { spec: { console: { pipe: '\\\\.\\pipe\\$(name)' } } } });
    await untilJudged('p', 'Current');
    const pipes = (await members('p')).map(({ spec }) => spec.ok && spec.value.console?.pipe);
    expect(pipes).toEqual(['\\\\.\\pipe\\p-0', '\\\\.\\pipe\\p-1']);
    await change('p', { ordinals: { reserved: ['9-7'] } });
    await untilJudged('p', 'Failed');
    expect(await reasonOf('p')).toBe('OrdinalsInvalid');
  });

  it('waits for a cordoned host rather than have two VMs more on the other one, and fills both in turn', async () => {
    await connect('seven');
    await connect('eight', { unschedulable: true });
    const topologySpreadConstraints = [{ topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' }];
    await create('s', { replicas: 4, topologySpreadConstraints, template: { spec: memory(1024) } });
    await until(async () => (await status('s')).readyReplicas === 1);
    const messages = (await members('s')).map((each) => readyOf(each)?.message ?? '');
    expect(messages.filter((text) => text.includes('too many VMs of the set in one'))).toHaveLength(3);
    const contentType = 'application/merge-patch+json';
    await fixture.request({
      ...{ method: 'PATCH', path: '/api/v1/nodes/eight', contentType },
      body: { spec: { unschedulable: null } },
    });
    await untilJudged('s', 'Current');
    const nodeNames = (await members('s')).map((each) => each.status.nodeName ?? '');
    expect(nodeNames.sort()).toEqual(['eight', 'eight', 'seven', 'seven']);
  });

  it('replaces a VM whose start fails again and again', async () => {
    const agent = await connect('six');
    const usual = agent.onAssign;
    const broken = new Set<string>();
    agent.onRelease = (uid) => agent.remove(uid);
    agent.onAssign = (assignment) => {
      usual(assignment);
      if (broken.size > 0 && !broken.has(assignment.uid)) return;
      broken.add(assignment.uid);
      const conditions = [{ type: 'Ready', status: 'False', reason: 'StartFailed', message: 'no' } as const];
      const known = agent.machines.get(assignment.uid);
      if (known !== undefined) agent.observe({ ...known, phase: 'Failed', conditions, startFailure: { count: 2 } });
    };
    const replacement = { afterStartFailures: 2, afterSeconds: 1 };
    await create('r', { replicas: 1, replacement, template: { spec: memory(1024) } });
    await untilJudged('r', 'Current');
    const [uid] = uidsOf(await members('r'));
    expect([...broken]).not.toContain(uid);
    const set = parseSet(await read('r'));
    await until(async () => {
      const events = await fixture.events(set?.metadata.uid ?? '');
      return events.some(({ reason }) => reason === 'Replaced');
    });
  });

  it('a broken rollout stops at the budget, also under the next leader, and a correction mends it', async () => {
    const agent = await connect('four');
    await create('b', { replicas: 3, template: { spec: memory(1024) } });
    await untilJudged('b', 'Current');
    const usual = agent.onAssign;
    agent.onAssign = (assignment) => {
      if (assignment.options.KernelBootOptions !== 'bad') return usual(assignment);
      const known = agent.machines.get(assignment.uid);
      if (known === undefined) return;
      const conditions = [{ type: 'Ready', status: 'False', reason: 'BootTimeout', message: 'not up' } as const];
      const { generation, optionsDigest, restartedAt } = assignment;
      const told = { generation, optionsDigest, wantedDigest: optionsDigest, ...(restartedAt && { restartedAt }) };
      agent.observe({ ...known, ...told, phase: 'Failed', conditions });
    };
    await change('b', { template: { spec: { boot: { kernelOptions: 'bad' } } } });
    await fixture.untilReady('b-2', 'False');
    await operator.operator.stop();
    operator = await fixture.start();
    await agent.connect(operator.agents, 'four');
    await until(async () => (await status('b')).disruptionsAllowed === 0);
    expect((await members('b')).map((each) => readyOf(each)?.status)).toEqual(['True', 'True', 'False']);
    await change('b', { template: { spec: { boot: { kernelOptions: 'good' } } } });
    await until(async () => (await status('b')).updatedAvailableReplicas === 3);
    await untilJudged('b', 'Current');
  });
});
