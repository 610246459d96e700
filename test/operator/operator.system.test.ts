import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { finalizer, forceDeleteAnnotation, pausedAnnotation } from '../../crds/linux-utility-vm.ts';
import type { VirtualMachine } from '../../operator/kubernetes/objects.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import {
  alwaysElected,
  fasterClock,
  hostsPath,
  machinesPath,
  OperatorFixture,
  type RunningOperator,
  readyOf,
  until,
} from '../support/operator/fixture.ts';
import { observedMachine, ScriptedAgent, someHost } from '../support/operator/scripted-agent.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let operator: RunningOperator;
const agents: ScriptedAgent[] = [];
let names = 0;

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
  await operator.operator.stop();
  for (const agent of agents.splice(0)) await agent.disconnect();
  await fixture.request({ method: 'DELETE', path: '/api/v1/nodes' });
  await fixture.request({ method: 'DELETE', path: hostsPath });
});

const conditionOf = ({ status }: VirtualMachine, name: string) => status.conditions?.find(({ type }) => type === name);
/** Excludes the requests of the test itself, whose user agent names no replica. */
const byOperator = (userAgent: string) => /^lcow-operator\/test \(replica-\d+\)$/.test(userAgent);
const json = async (path: string) => JSON.stringify(await fixture.request({ method: 'GET', path }));

async function node(host = someHost): Promise<{ agent: ScriptedAgent; nodeName: string }> {
  names += 1;
  const nodeName = `node-${names}`;
  await fixture.createNode(nodeName);
  const agent = new ScriptedAgent();
  agents.push(agent);
  await agent.connect(operator.agents, nodeName, host);
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
  return { agent, nodeName };
}

async function restart(...connected: { agent: ScriptedAgent; nodeName: string }[]): Promise<void> {
  await operator.operator.stop();
  operator = await fixture.start();
  for (const { agent, nodeName } of connected) {
    agent.received.length = 0;
    await agent.connect(operator.agents, nodeName);
    await until(() => agent.receivedOf('desired').some(({ last }) => last));
  }
}

describe('operator', () => {
  it('takes a VM from its creation to Ready, and from its deletion to nothing', async () => {
    const { agent, nodeName } = await node();
    const { metadata } = await fixture.create('whole-life', { memory: { sizeInMB: 2048 } });
    const ready = await fixture.untilReady('whole-life');
    expect(ready.metadata.finalizers).toContain(finalizer);
    expect(ready.status).toMatchObject({
      nodeName,
      phase: 'Running',
      observedGeneration: 1,
      systemID: `luvm-${metadata.uid}`,
    });
    expect(agent.assignments.get(metadata.uid)).toMatchObject({
      name: 'whole-life',
      namespace: 'default',
      runStrategy: 'Always',
      options: { MemorySizeInMB: 2048 },
    });
    await until(async () => (await fixture.events(metadata.uid)).length >= 1);
    expect(await fixture.events(metadata.uid)).toMatchObject([
      { reason: 'Started', note: `Scheduled: placed on ${nodeName}. Started: runs` },
    ]);

    await fixture.delete('whole-life');
    await fixture.untilGone('whole-life');
    expect(agent.receivedOf('release').map(({ uid }) => uid)).toEqual([metadata.uid]);
    expect(agent.machines.size).toBe(0);
    const host = await fixture.host(nodeName);
    expect(host?.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'Node', name: nodeName });
    expect(host?.status).toMatchObject({ osBuild: 20_348, agentVersion: 'scripted', session: { epoch: 1 } });
  });

  it('writes four times from creation to Ready, Events included, however many phases the boot has', async () => {
    const { agent } = await node();
    agent.onAssign = (assignment) => {
      const { generation, optionsDigest } = assignment;
      const told = { generation, optionsDigest, wantedDigest: optionsDigest };
      const boot = [...(['Staging', 'Creating', 'Starting'] as const)].entries();
      for (const [index, phase] of boot) {
        const conditions = [{ type: 'Ready', status: 'False', reason: phase, message: 'boots' }] as const;
        const report = observedMachine(assignment.uid, { ...told, phase, conditions: [...conditions] });
        systemClock.after(index * 700, () => agent.observe(report));
      }
      systemClock.after(2_500, () => agent.run(assignment));
    };
    const { metadata } = await fixture.create('four-writes');
    await fixture.untilReady('four-writes');
    await until(async () => (await fixture.events(metadata.uid)).length >= 1);
    const writes = (await controlPlane.audit?.writes()) ?? [];
    expect(
      writes
        .filter(
          ({ name, verb, userAgent }) => name.startsWith('four-writes') && byOperator(userAgent) && verb !== 'get',
        )
        .map(({ verb, resource, subresource, code }) => [verb, subresource ?? resource, code]),
    ).toEqual([
      ['patch', 'linuxutilityvms', 200],
      ['update', 'status', 200],
      ['update', 'status', 200],
      ['create', 'events', 201],
    ]);
    await fixture.delete('four-writes');
    await fixture.untilGone('four-writes');
  });

  it('reports the placement separately, and the progress of a boot that takes long', async () => {
    await operator.operator.stop();
    operator = await fixture.start({ clock: fasterClock(20) });
    const { agent, nodeName } = await node();
    agent.onAssign = ({ uid, generation, optionsDigest }) => {
      const told = { generation, optionsDigest, wantedDigest: optionsDigest, conditions: [] };
      agent.observe(observedMachine(uid, { ...told, phase: 'Starting' }));
    };
    const { metadata } = await fixture.create('slow');
    await fixture.untilObject('slow', ({ status }) => status.phase === 'Starting');
    await until(async () => (await fixture.events(metadata.uid)).length >= 1);
    expect(await fixture.events(metadata.uid)).toMatchObject([{ reason: 'Scheduled', note: `placed on ${nodeName}` }]);
    await fixture.delete('slow');
    await fixture.untilGone('slow');
  });

  it('stores the host before it assigns the VM', async () => {
    const { agent, nodeName } = await node();
    const storedAtAssign: (string | undefined)[] = [];
    agent.onAssign = (assignment) => {
      void fixture.get(assignment.name).then((object) => {
        storedAtAssign.push(object?.status.nodeName);
        agent.run(assignment);
      });
    };
    await fixture.create('stored-first');
    await fixture.untilReady('stored-first');
    expect(storedAtAssign).toEqual([nodeName]);
    await fixture.delete('stored-first');
    await fixture.untilGone('stored-first');
  });

  it('keeps a deleted object until its agent has confirmed, and shows what it waits for', async () => {
    const { agent, nodeName } = await node();
    const { metadata } = await fixture.create('held');
    await fixture.untilReady('held');
    agent.onRelease = () => {};
    await fixture.delete('held');
    const held = await fixture.untilObject('held', (object) => conditionOf(object, 'Terminating') !== undefined);
    expect(conditionOf(held, 'Terminating')?.message).toContain(nodeName);
    expect(held.status.nodeName).toBe(nodeName);
    agent.remove(metadata.uid);
    await fixture.untilGone('held');
  });

  it('releases an object by the force-delete annotation, and has the VM torn down afterwards', async () => {
    const { agent } = await node();
    const { metadata } = await fixture.create('forced');
    await fixture.untilReady('forced');
    agent.onRelease = () => {};
    await fixture.delete('forced');
    await fixture.patch('forced', { metadata: { annotations: { [forceDeleteAnnotation]: 'true' } } });
    await fixture.untilGone('forced');
    await until(() => agent.receivedOf('release').some(({ uid }) => uid === metadata.uid));
  });

  it('does not change a VM when it is restarted, and deletes one that was deleted in the meantime', async () => {
    const connected = await node();
    await fixture.create('survivor');
    await fixture.create('deleted-meanwhile');
    await fixture.untilReady('deleted-meanwhile');
    const before = await fixture.untilReady('survivor');
    await operator.operator.stop();
    await fixture.delete('deleted-meanwhile');
    await restart(connected);
    await fixture.untilGone('deleted-meanwhile');
    const after = await fixture.get('survivor');
    expect(after?.status).toEqual(before.status);
    expect(connected.agent.receivedOf('release')).toHaveLength(1);
    expect((await fixture.host(connected.nodeName))?.status.session?.epoch).toBe(2);
    await fixture.delete('survivor');
    await fixture.untilGone('survivor');
  });

  it('tells a host to remove a VM that has no object, but only after a live read has shown that', async () => {
    const { agent } = await node();
    const uid = '11111111-2222-4333-8444-555555555555';
    agent.observe(observedMachine(uid));
    await until(() => agent.receivedOf('release').some((message) => message.uid === uid));
    expect(await json(machinesPath)).not.toContain(uid);
  });

  it('returns a VM to the host that reports it when its status was lost', async () => {
    const connected = await node();
    const { metadata } = await fixture.create('restored');
    await fixture.untilReady('restored');
    await operator.operator.stop();
    const stored = await fixture.get('restored');
    const { name, uid, resourceVersion } = stored?.metadata ?? metadata;
    await fixture.request({
      method: 'PUT',
      path: `${machinesPath}/restored/status`,
      body: {
        apiVersion: 'lcow.dev/v1alpha1',
        kind: 'LinuxUtilityVM',
        metadata: { name, namespace: 'default', uid, resourceVersion },
        status: {},
      },
    });
    operator = await fixture.start();
    const pending = await fixture.untilObject('restored', ({ status }) => status.phase === 'Pending');
    expect(readyOf(pending)?.reason).toBe('InventoryPending');
    await connected.agent.connect(operator.agents, connected.nodeName);
    const back = await fixture.untilReady('restored');
    expect(back.status.nodeName).toBe(connected.nodeName);
    expect(connected.agent.receivedOf('release')).toEqual([]);
    await fixture.delete('restored');
    await fixture.untilGone('restored');
  });

  it('writes nothing for an idle fleet whose guests log, not even after a reconnect', async () => {
    const { agent, nodeName } = await node();
    const { metadata } = await fixture.create('idle');
    await fixture.untilReady('idle');
    // The counts of the host are written up to 3 s later, and its Events after them.
    await until(async () => (await fixture.host(nodeName))?.status.virtualMachines?.running === 1);
    await until(async () => (await fixture.events(metadata.uid)).length >= 1);
    const versions = async () => [
      (await fixture.get('idle'))?.metadata.resourceVersion,
      (await fixture.host(nodeName))?.metadata.resourceVersion,
      (await fixture.events(metadata.uid)).length,
    ];
    const before = await versions();
    const machine = agent.machines.get(metadata.uid) ?? observedMachine(metadata.uid);
    for (let total = 7; total < 30; total += 1) {
      agent.observe({ ...machine, guestLog: { ...machine.guestLog, tail: [`${total}`], total } });
    }
    await agent.disconnect();
    agent.received.length = 0;
    await agent.connect(operator.agents, nodeName);
    await until(() => agent.receivedOf('desired').some(({ last }) => last));
    // Delayed writes happen within 3 s, and so does this one: the counts of another host.
    const other = await node();
    await fixture.create('sentinel', { nodeName: other.nodeName });
    await fixture.untilReady('sentinel');
    await until(async () => (await fixture.host(other.nodeName))?.status.virtualMachines?.running === 1);
    expect(await versions()).toEqual(before);
    expect((await fixture.get('idle'))?.status.guestLog?.tail).toEqual(['6']);
    for (const name of ['idle', 'sentinel']) {
      await fixture.delete(name);
      await fixture.untilGone(name);
    }
  });

  it('reports why a VM fits nowhere, and places it when it fits', async () => {
    const { nodeName } = await node({ ...someHost, memoryInMB: 1024 });
    await fixture.create('too-big', { memory: { sizeInMB: 4096 } });
    const pending = await fixture.untilReady('too-big', 'False');
    expect(readyOf(pending)).toMatchObject({
      reason: 'NoHostFits',
      message: expect.stringContaining(
        `0/1 hosts fit: 1 insufficient memory; for example ${nodeName} (insufficient memory)`,
      ),
    });
    // No host has the VM, so its deletion waits for none.
    expect(pending.metadata.finalizers).toBeUndefined();
    const roomy = await node();
    const ready = await fixture.untilReady('too-big');
    expect(ready.status.nodeName).toBe(roomy.nodeName);
    expect(ready.metadata.finalizers).toContain(finalizer);
    await fixture.delete('too-big');
    await fixture.untilGone('too-big');
  });

  it('waits for the agent of a pinned VM, deletes a VM that was never placed, and leaves a paused VM alone', async () => {
    await fixture.create('pinned', { nodeName: 'not-there-yet' });
    expect(readyOf(await fixture.untilReady('pinned', 'False'))?.reason).toBe('HostNotReady');
    await fixture.delete('pinned');
    await fixture.untilGone('pinned');

    await fixture.create('blocked', {
      confidential: { securityPolicyFrom: { configMapKeyRef: { name: 'policies', key: 'missing' } } },
    });
    expect(readyOf(await fixture.untilReady('blocked', 'False'))?.reason).toBe('ReferenceUnreadable');
    await fixture.delete('blocked');
    await fixture.untilGone('blocked');

    const { agent } = await node();
    const { metadata } = await fixture.create('paused');
    await fixture.untilReady('paused');
    await fixture.patch('paused', { metadata: { annotations: { [pausedAnnotation]: 'true' } } });
    await until(() => agent.assignments.get(metadata.uid)?.paused === true);
    await fixture.delete('paused');
    await fixture.untilGone('paused');
  });

  it('sends the policy of a confidential VM once, and separately from its options', async () => {
    const { agent } = await node({ ...someHost, isolation: ['SNP'] });
    const policy = Buffer.from('package policy').toString('base64');
    for (const name of ['secret-1', 'secret-2']) {
      await fixture.create(name, { confidential: { securityPolicy: policy } });
      await fixture.untilReady(name);
    }
    expect(agent.receivedOf('policy')).toMatchObject([{ policy }]);
    for (const { options } of agent.assignments.values()) expect(options.SecurityPolicy).toBeUndefined();
    for (const name of ['secret-1', 'secret-2']) {
      await fixture.delete(name);
      await fixture.untilGone(name);
    }
  });

  it('notices when a policy in a ConfigMap appears and changes', async () => {
    await operator.operator.stop();
    operator = await fixture.start({ clock: fasterClock(30) });
    const { agent } = await node({ ...someHost, isolation: ['SNP'] });
    const policyOf = (text: string) => Buffer.from(text).toString('base64');
    const configMap = (policy: string) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'policies' },
      data: { policy },
    });
    const path = '/api/v1/namespaces/default/configmaps';
    const { metadata } = await fixture.create('referring', {
      confidential: { securityPolicyFrom: { configMapKeyRef: { name: 'policies', key: 'policy' } } },
    });
    expect(readyOf(await fixture.untilReady('referring', 'False'))?.reason).toBe('ReferenceUnreadable');
    await fixture.request({ method: 'POST', path, body: configMap(policyOf('package policy')) });
    await fixture.untilReady('referring');
    const before = agent.assignments.get(metadata.uid);
    await fixture.request({ method: 'PUT', path: `${path}/policies`, body: configMap(policyOf('package other')) });
    await until(() => agent.assignments.get(metadata.uid)?.policySHA256 !== before?.policySHA256);
    const after = agent.assignments.get(metadata.uid);
    expect(after?.generation).toBe(before?.generation);
    expect(after?.optionsDigest).not.toBe(before?.optionsDigest);
    expect(agent.receivedOf('policy').map(({ policy }) => policy)).toEqual([
      policyOf('package policy'),
      policyOf('package other'),
    ]);
    await fixture.delete('referring');
    await fixture.untilGone('referring');
  });

  it('writes nothing for a host once another replica has its newest epoch and its agent', async () => {
    const { agent, nodeName } = await node();
    const { metadata } = await fixture.create('fenced');
    await fixture.untilReady('fenced');
    const rival = await fixture.start({ election: alwaysElected });
    const closed = agent.closed;
    const moved = new ScriptedAgent();
    agents.push(moved);
    for (const [uid, machine] of agent.machines) moved.machines.set(uid, machine);
    await moved.connect(rival.agents, nodeName);
    expect((await closed).code).toBe(4503);
    expect((await fixture.host(nodeName))?.status.session).toMatchObject({ replica: rival.replica, epoch: 2 });
    // Both replicas now act as leader; only one has a session with the host.
    const machine = moved.machines.get(metadata.uid) ?? observedMachine(metadata.uid);
    moved.observe({ ...machine, restarts: 7 });
    await fixture.untilObject('fenced', ({ status }) => status.restarts === 7);
    await fixture.patch('fenced', { metadata: { annotations: { [pausedAnnotation]: 'true' } } });
    await until(() => moved.assignments.get(metadata.uid)?.paused === true);
    await fixture.delete('fenced');
    await fixture.untilGone('fenced');
    expect(agent.receivedOf('release')).toEqual([]);
    expect(moved.receivedOf('release')).toHaveLength(1);
    await rival.operator.stop();
  });

  it('creates the record of a connected host again when somebody deletes it', async () => {
    const { nodeName } = await node();
    await until(async () => (await fixture.host(nodeName)) !== undefined);
    const before = await fixture.host(nodeName);
    await fixture.request({ method: 'DELETE', path: `${hostsPath}/${nodeName}` });
    await until(async () => {
      const after = await fixture.host(nodeName);
      return after !== undefined && after.metadata.uid !== before?.metadata.uid && after.status.session !== undefined;
    });
    expect((await fixture.host(nodeName))?.status.session).toEqual(before?.status.session);
  });

  it('replaces an older session of a node by a newer one', async () => {
    const { agent, nodeName } = await node();
    const closed = agent.closed;
    const newer = new ScriptedAgent();
    agents.push(newer);
    await newer.connect(operator.agents, nodeName);
    expect((await closed).code).toBe(4409);
    await until(() => newer.receivedOf('welcome').length === 1);
    const metrics = await (await fetch(`http://127.0.0.1:${operator.health}/metrics`)).text();
    expect(metrics).toContain('lcow_agent_sessions 1');
    expect(metrics).toContain('lcow_build_info{version="test"} 1');
  });

  it('keeps the VMs on a host that is away until its Node is gone for a minute', async () => {
    await operator.operator.stop();
    operator = await fixture.start({ clock: fasterClock(30) });
    const lost = await node();
    for (const name of ['to-move', 'to-delete']) {
      await fixture.create(name);
      await fixture.untilReady(name);
    }
    const other = await node();
    await lost.agent.disconnect();
    const away = await fixture.untilReady('to-move', 'Unknown');
    expect(away.status).toMatchObject({ nodeName: lost.nodeName, phase: 'Unknown' });
    expect(readyOf(away)?.reason).toBe('HostDisconnected');
    // The operator stores no log text itself, and still writes the whole status.
    expect(away.status.guestLog).toMatchObject({ head: ['1', '2', '3', '4', '5'], tail: ['6'], total: 6 });
    await fixture.delete('to-delete');
    const held = await fixture.untilObject('to-delete', (object) => conditionOf(object, 'Terminating') !== undefined);
    expect(conditionOf(held, 'Terminating')?.message).toContain('out-of-service');
    expect(other.agent.assignments.size).toBe(0);

    await fixture.request({ method: 'DELETE', path: `/api/v1/nodes/${lost.nodeName}` });
    await fixture.untilGone('to-delete');
    const moved = await fixture.untilObject('to-move', ({ status }) => status.nodeName === other.nodeName);
    await fixture.untilReady('to-move');
    expect(moved.metadata.uid).toBe(away.metadata.uid);
    await fixture.delete('to-move');
    await fixture.untilGone('to-move');
  }, 60_000);

  it('loses nothing while the API server is away for 30 s, and keeps its agents', async () => {
    const { agent } = await node();
    await fixture.create('before-outage');
    const { metadata } = await fixture.untilReady('before-outage');
    await controlPlane.apiServer.kill();
    const killedAt = performance.now();
    const machine = agent.machines.get(metadata.uid) ?? observedMachine(metadata.uid);
    agent.observe({ ...machine, restarts: 1 });
    await until(async () => {
      const text = await (await fetch(`http://127.0.0.1:${operator.health}/metrics`)).text();
      return /rest_client_requests_total\{method="PUT",code="0"\} [1-9]/.test(text);
    });
    agent.observe({ ...machine, restarts: 2 });
    await until(() => performance.now() - killedAt >= 30_000, 31_000);
    await controlPlane.apiServer.start();
    await fixture.untilObject('before-outage', ({ status }) => status.restarts === 2);
    expect(agent.isOpen).toBe(true);
    expect(agent.receivedOf('welcome')).toHaveLength(1);
    await fixture.create('after-outage');
    await fixture.untilObject('after-outage', (object) => readyOf(object)?.status === 'True');
    for (const name of ['before-outage', 'after-outage']) {
      await fixture.delete(name);
      await fixture.untilGone(name);
    }
  }, 120_000);
});
