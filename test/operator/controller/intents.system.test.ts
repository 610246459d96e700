// VMs whose spec or references cannot be read can still be halted, started again, drained and deleted.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pausedAnnotation, restartedAtAnnotation } from '../../../crds/linux-utility-vm.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { sha256Hex } from '../../../protocol/digest.ts';
import { intentsCapability } from '../../../protocol/intent.ts';
import { type ControlPlane, startControlPlane } from '../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../support/control-plane/custom-resources.ts';
import {
  fasterClock,
  hostsPath,
  machinesPath,
  OperatorFixture,
  type RunningOperator,
  readyOf,
  until,
} from '../../support/operator/fixture.ts';
import { ScriptedAgent, someHost } from '../../support/operator/scripted-agent.ts';
import { until as untilFound } from '../../support/until.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let operator: RunningOperator;
const agents: ScriptedAgent[] = [];
let names = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
  await installNewerSchema();
}, 120_000);

afterAll(async () => {
  await controlPlane?.stop();
});

beforeEach(async () => {
  operator = await fixture.start({ clock: fasterClock(15) });
});

afterEach(async () => {
  await operator.operator.stop();
  for (const agent of agents.splice(0)) await agent.disconnect();
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

/** Installs the kind of a later version: with unknown fields and longer policies. */
async function installNewerSchema(): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/linuxutilityvms.lcow.dev';
  const newer = JSON.stringify(await fixture.request({ method: 'GET', path }))
    .replace('"terminateOnAgentExit":{', '"future":{"type":"string"},$&')
    .replace('"securityPolicy":{', '"future":{"type":"boolean"},$&')
    .replace('"maxLength":32768', '"maxLength":300000');
  await fixture.request({ method: 'PUT', path, body: JSON.parse(newer) });
  await untilFound('the schema in force', async () => {
    const body = manifest('probe', { future: 'x' });
    // While it exchanges the schema, the API server refuses requests about the kind as if it were shutting down.
    const created = fixture.request({ method: 'POST', path: machinesPath, body });
    const isServed = await created.then(
      () => true,
      () => false,
    );
    if (!isServed) return false;
    const probe = JSON.stringify(await fixture.request({ method: 'GET', path: `${machinesPath}/probe` }));
    await fixture.delete('probe');
    return probe.includes('"future":"x"');
  });
}

const manifest = (name: string, spec: object) => ({
  apiVersion: 'lcow.dev/v1alpha1',
  kind: 'LinuxUtilityVM',
  metadata: { name },
  spec,
});
const conditionOf = ({ status }: VirtualMachine, name: string) => status.conditions?.find(({ type }) => type === name);
const configMaps = '/api/v1/namespaces/default/configmaps';
const policy = Buffer.from('package policy').toString('base64');
const referring = { confidential: { securityPolicyFrom: { configMapKeyRef: { name: 'policies', key: 'web' } } } };

const tooLong = 'QUJD'.repeat(70_000);

async function createPolicies(): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'policies' }, data: { web: policy } };
  await fixture.request({ method: 'POST', path: configMaps, body });
}

async function deletePolicies(): Promise<void> {
  await fixture.request({ method: 'DELETE', path: `${configMaps}/policies` });
}

async function node(): Promise<{ agent: ScriptedAgent; nodeName: string }> {
  names += 1;
  const nodeName = `node-${names}`;
  await fixture.createNode(nodeName);
  const agent = new ScriptedAgent();
  agent.capabilities = [intentsCapability];
  agents.push(agent);
  await agent.connect(operator.agents, nodeName, { ...someHost, isolation: ['SNP'] });
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
  return { agent, nodeName };
}

async function drain(nodeName: string): Promise<void> {
  const taints = [{ key: 'lcow.dev/drain', effect: 'NoExecute' }];
  const contentType = 'application/merge-patch+json';
  await fixture.request({
    method: 'PATCH',
    path: `/api/v1/nodes/${nodeName}`,
    contentType,
    body: { spec: { taints } },
  });
}

const setStrategy = (name: string, runStrategy: string) => fixture.patch(name, { spec: { runStrategy } });
const isActedOn = ({ metadata, status }: VirtualMachine) => status.observedGeneration === metadata.generation;

async function remove(name: string): Promise<void> {
  await fixture.delete(name);
  await fixture.untilGone(name);
}

describe('a VM whose policy is gone', () => {
  it('continues to run and is ready, is halted and started again, and gets no change that needs the policy', async () => {
    const { agent } = await node();
    await createPolicies();
    const { metadata } = await fixture.create('gone', referring);
    expect(conditionOf(await fixture.untilReady('gone'), 'ReferencesResolved')?.status).toBe('True');
    await deletePolicies();
    const gone = await fixture.untilObject('gone', (vm) => conditionOf(vm, 'ReferencesResolved')?.status === 'False');
    expect(conditionOf(gone, 'ReferencesResolved')).toMatchObject({ reason: 'ReferenceUnreadable' });
    expect(readyOf(gone)).toMatchObject({ status: 'True', reason: 'Running' });

    await setStrategy('gone', 'Halted');
    const halted = await fixture.untilObject('gone', (vm) => isActedOn(vm) && vm.status.phase === 'Stopped');
    expect(readyOf(halted)).toMatchObject({ status: 'True', reason: 'Halted' });
    expect(agent.intents.get(metadata.uid)).toMatchObject({ runStrategy: 'Halted', generation: 2 });
    expect(conditionOf(halted, 'Scheduled')?.reason).toBe('Halted');

    agent.onIntent = ({ uid, generation }) => {
      const known = agent.assignments.get(uid);
      if (known !== undefined) agent.run({ ...known, generation });
    };
    await setStrategy('gone', 'Always');
    const again = await fixture.untilObject('gone', (vm) => isActedOn(vm) && vm.status.phase === 'Running');
    expect(readyOf(again)).toMatchObject({ status: 'True', reason: 'Running' });
    expect(conditionOf(again, 'Stalled')).toBeUndefined();

    await fixture.patch('gone', { spec: { memory: { sizeInMB: 4096 } } });
    const changed = await fixture.untilObject('gone', (vm) => readyOf(vm)?.status === 'False' && isActedOn(vm));
    expect(readyOf(changed)?.reason).toBe('ReferenceUnreadable');
    const stalled = await fixture.untilObject('gone', (vm) => conditionOf(vm, 'Stalled') !== undefined);
    expect(stalled.status.phase).toBe('Running');
    expect(conditionOf(stalled, 'Reconciling')).toBeUndefined();

    await createPolicies();
    const well = await fixture.untilObject('gone', (vm) => conditionOf(vm, 'ReferencesResolved')?.status === 'True');
    expect(readyOf(await fixture.untilReady('gone'))?.reason).toBe('Running');
    expect(conditionOf(well, 'Stalled')).toBeUndefined();
    expect(agent.assignments.get(metadata.uid)?.options.MemorySizeInMB).toBe(4096);
    await remove('gone');
    await deletePolicies();
  });

  it('is also reported by the next leader, and leaves a drained host', async () => {
    const { agent, nodeName } = await node();
    await createPolicies();
    const { metadata } = await fixture.create('moves', referring);
    await fixture.untilReady('moves');
    await deletePolicies();
    await operator.operator.stop();
    operator = await fixture.start({ clock: fasterClock(15) });
    await agent.connect(operator.agents, nodeName);
    await until(() => agent.intents.get(metadata.uid)?.runStrategy === 'Always');
    await drain(nodeName);
    const pending = await fixture.untilObject('moves', ({ status }) => status.phase === 'Pending');
    expect(pending.status.nodeName).toBeUndefined();
    await fixture.untilObject('moves', (vm) => readyOf(vm)?.reason === 'ReferenceUnreadable');
    expect(agent.machines.size).toBe(0);
    await remove('moves');
  });
});

describe('a VM whose spec cannot be read', () => {
  it.each([
    ['a field of a newer version', { future: 'x' }, 'spec.future'],
    [
      'such a field within confidential',
      { confidential: { securityPolicy: policy, future: true } },
      'spec.confidential.future',
    ],
    [
      'a policy that is too long for any agent',
      { confidential: { securityPolicy: tooLong } },
      'spec.confidential.securityPolicy',
    ],
  ])('is never started: %s', async (_what, spec, field) => {
    const { agent } = await node();
    await fixture.request({ method: 'POST', path: machinesPath, body: manifest('unread', spec) });
    const refused = await fixture.untilObject('unread', (vm) => readyOf(vm)?.reason === 'InvalidSpec');
    expect(readyOf(refused)?.message).toContain(field);
    expect(conditionOf(refused, 'Stalled')?.status).toBe('True');
    expect(agent.assignments.size + agent.intents.size).toBe(0);
    await remove('unread');
  });

  it.each([
    ['a field of a newer version', { future: 'x' }],
    ['a policy that is too long for any agent', { confidential: { securityPolicy: tooLong } }],
  ])('continues to run, and can be halted: %s', async (_what, change) => {
    const { agent } = await node();
    const { metadata } = await fixture.create('unread', { confidential: { securityPolicy: policy } });
    await fixture.untilReady('unread');
    await fixture.patch('unread', { spec: change });
    const refused = await fixture.untilObject('unread', (vm) => readyOf(vm)?.reason === 'InvalidSpec');
    expect(refused.status.phase).toBe('Running');
    expect(conditionOf(refused, 'Stalled')?.status).toBe('True');
    expect(conditionOf(refused, 'Reconciling')).toBeUndefined();
    await setStrategy('unread', 'Halted');
    const halted = await fixture.untilObject('unread', (vm) => vm.status.phase === 'Stopped' && isActedOn(vm));
    expect(readyOf(halted)?.reason).toBe('InvalidSpec');
    expect(conditionOf(halted, 'Scheduled')?.reason).toBe('Halted');
    expect(agent.intents.get(metadata.uid)).toMatchObject({ runStrategy: 'Halted' });
    await remove('unread');
  });

  it('leaves a drained host', async () => {
    const { agent, nodeName } = await node();
    await fixture.create('unread');
    await fixture.untilReady('unread');
    await fixture.patch('unread', { spec: { future: 'x' } });
    await fixture.untilObject('unread', (vm) => readyOf(vm)?.reason === 'InvalidSpec');
    await drain(nodeName);
    const pending = await fixture.untilObject('unread', ({ status }) => status.phase === 'Pending');
    expect(pending.status.nodeName).toBeUndefined();
    expect(agent.machines.size).toBe(0);
    await remove('unread');
  });
});

it('a policy that was stored before manifests were bounded is sent unchanged', async () => {
  const { agent } = await node();
  const securityPolicy = 'QUJD'.repeat(10_000);
  const { metadata } = await fixture.create('long', { confidential: { securityPolicy } });
  expect(readyOf(await fixture.untilReady('long'))?.reason).toBe('Running');
  expect(agent.receivedOf('policy').map((each) => each.policy)).toEqual([securityPolicy]);
  await setStrategy('long', 'Halted');
  await until(() => agent.assignments.get(metadata.uid)?.runStrategy === 'Halted');
  await remove('long');
});

describe('annotations', () => {
  it.each(['1', 't', 'TRUE', 'True'])(
    '%s pauses: changes wait, and so do tools that wait for the VM',
    async (value) => {
      const { agent } = await node();
      const { metadata } = await fixture.create('paused');
      await fixture.untilReady('paused');
      await fixture.patch('paused', { metadata: { annotations: { [pausedAnnotation]: value } } });
      const paused = await fixture.untilObject('paused', (vm) => conditionOf(vm, 'Paused')?.status === 'True');
      expect(conditionOf(paused, 'Paused')?.message).toContain(conditionOf(paused, 'Paused')?.lastTransitionTime);
      expect(readyOf(paused)).toMatchObject({ status: 'True', reason: 'Running' });
      await until(() => agent.assignments.get(metadata.uid)?.paused === true);
      agent.onAssign = () => {}; // as an agent reports a VM that it leaves alone
      await setStrategy('paused', 'Halted');
      await until(() => agent.assignments.get(metadata.uid)?.generation === 2);
      agent.observe({ ...(agent.machines.get(metadata.uid) ?? { uid: metadata.uid }), restarts: 7 } as never);
      const still = await fixture.untilObject('paused', ({ status }) => status.restarts === 7);
      expect(still.status.observedGeneration).toBe(1);
      expect(readyOf(still)?.observedGeneration).toBe(1);
      await fixture.patch('paused', { metadata: { annotations: { [pausedAnnotation]: null } } });
      await fixture.untilObject('paused', (vm) => conditionOf(vm, 'Paused') === undefined);
      await remove('paused');
    },
  );

  it('that have no effect cause a Warning', async () => {
    await node();
    const { metadata } = await fixture.create('odd');
    await fixture.untilReady('odd');
    const odd = { [pausedAnnotation]: 'yes', [restartedAtAnnotation]: 'x'.repeat(1_025) };
    await fixture.patch('odd', { metadata: { annotations: odd } });
    const warned = await fixture.untilObject('odd', ({ status }) => status.warnings?.length === 2);
    expect(conditionOf(warned, 'Paused')).toBeUndefined();
    expect(warned.status.warnings).toEqual([expect.stringContaining('"yes"'), expect.stringContaining('1025')]);
    const told = async () =>
      (await fixture.events(metadata.uid)).filter(({ reason }) => reason === 'InvalidAnnotation');
    await until(async () => (await told()).length === 2);
    expect((await told()).map(({ type }) => type)).toEqual(['Warning', 'Warning']);
    await remove('odd');
  });

  it('with equal beginnings cause one restart each', async () => {
    const { agent } = await node();
    const { metadata } = await fixture.create('restarts');
    await fixture.untilReady('restarts');
    for (const run of ['1', '2']) {
      const value = `https://ci.example/${'x'.repeat(80)}/runs/${run}`;
      await fixture.patch('restarts', { metadata: { annotations: { [restartedAtAnnotation]: value } } });
      await until(() => agent.assignments.get(metadata.uid)?.restartedAt === sha256Hex(value));
    }
    await remove('restarts');
  });
});
