// VMs that are created from manifests with the finalizer of a backup while no operator runs (docs/operations.md,
// Backup), on a real API server. They are new VMs, and wait for no host.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { finalizer } from '../../../crds/linux-utility-vm.ts';
import { defaultLeaseTimes } from '../../../operator/kubernetes/lease.ts';
import { LeaseClient } from '../../../operator/kubernetes/lease-client.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
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
import { ScriptedAgent, someHost } from '../../support/operator/scripted-agent.ts';

const hour = 3_600_000;
/** The clock of an operator that is an hour slow. */
const lateClock: Clock = { now: () => Date.now() - hour, after: (ms, task) => systemClock.after(ms, task) };
/** All other clocks of this test agree. The Lease expires quickly, because there is one operator at a time. */
const times = { ...defaultLeaseTimes, duration: 1_000, skew: 0 };

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let operator: RunningOperator;
let agent: ScriptedAgent;
let elections = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
}, 120_000);

afterAll(() => controlPlane?.stop());

beforeEach(async () => {
  operator = await start(lateClock);
  agent = new ScriptedAgent();
  await fixture.createNode('here');
  await fixture.createNode('away');
  await agent.connect(operator.agents, 'away', someHost);
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
});

afterEach(async () => {
  await operator.operator.stop();
  await agent.disconnect();
  for (const { metadata } of await fixture.list()) {
    await fixture.patch(metadata.name, { metadata: { finalizers: [] } });
    if (metadata.deletionTimestamp === undefined) await fixture.delete(metadata.name);
  }
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

function start(clock: Clock): Promise<RunningOperator> {
  elections += 1;
  return fixture.start({ election: fixture.election(`candidate-${elections}`, { clock, times }) });
}

async function restore(name: string): Promise<void> {
  const metadata = { name, finalizers: [finalizer] };
  const body = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata, spec: {} };
  await fixture.request({ method: 'POST', path: machinesPath, body });
}

/** Waits by the clock of the API server, which has whole seconds. */
async function untilTermsAreOver(): Promise<void> {
  const { http } = fixture;
  const client = new LeaseClient({ http, clock: systemClock, namespace: 'default', name: 'lcow-operator' });
  const lease = await client.get(5_000);
  const writtenAt = lease.ok ? lease.value.writtenAt : undefined;
  expect(Math.abs(Date.now() - (writtenAt ?? 0))).toBeLessThan(hour / 2);
  await until(() => Date.now() > (writtenAt ?? 0) + times.duration + 1_000);
}

it('new VMs are placed and deleted at once, even if a host is away that had a session when the operator ended', async () => {
  await operator.operator.stop();
  await agent.disconnect();
  await untilTermsAreOver();
  await restore('restored');
  await restore('unwanted');
  await fixture.delete('unwanted');
  expect((await fixture.host('away'))?.status.session).toMatchObject({ epoch: 1 });
  expect((await fixture.host('away'))?.status.session?.endedAt).toBeUndefined();
  operator = await start(systemClock);
  const here = new ScriptedAgent();
  await here.connect(operator.agents, 'here', someHost);
  expect((await fixture.untilReady('restored')).status.nodeName).toBe('here');
  await fixture.untilGone('unwanted');
  await here.disconnect();
});

it('VMs do not count as new if an earlier operator can have assigned them, whatever its clock showed', async () => {
  await fixture.create('told');
  await fixture.untilReady('told');
  await operator.operator.stop();
  await agent.disconnect();
  const { name, uid, resourceVersion } = (await fixture.get('told'))?.metadata ?? {};
  await fixture.request({
    method: 'PUT',
    path: `${machinesPath}/told/status`,
    body: {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name, namespace: 'default', uid, resourceVersion },
      status: {},
    },
  });
  operator = await start(systemClock);
  const pending = await fixture.untilObject('told', (object) => readyOf(object)?.reason === 'InventoryPending');
  const { message = '' } = readyOf(pending) ?? {};
  expect(message).toContain('waiting for the inventory of 1 host, for example away');
  expect(message).toContain(
    'delete its Node, or its LinuxUtilityVMHost if it has no Node, or taint the Node node.kubernetes.io',
  );
  expect(message).toContain(`remove the finalizer ${finalizer} from it`);
});
