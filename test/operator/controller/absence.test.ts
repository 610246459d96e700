// What the operator concludes from absence, and after which time.
import { describe, expect, it } from 'vitest';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { Disconnections } from '../../../operator/controller/knowledge/disconnections.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { NodeStates } from '../../../operator/controller/knowledge/node-state.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import type { Outcome } from '../../../operator/kubernetes/api-error.ts';
import type { Host, Node } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeHost, makeMachine, makeNode, someUid } from '../../support/operator/objects.ts';
import { observedMachine } from '../../support/operator/scripted-agent.ts';

const notFound: Outcome<Node> = {
  ok: false,
  error: { code: 404, reason: 'NotFound', message: 'no', retryable: false, objectName: 'node-a' },
};
const unavailable: Outcome<Node> = { ok: false, error: { code: 503, reason: 'x', message: 'no', retryable: true } };

function nodeStates(read: () => Outcome<Node>) {
  const clock = new ManualClock();
  const inventory = new Inventory(clock);
  const nodes = new Map<string, Node>();
  const hosts = new Map<string, Host>();
  return {
    clock,
    inventory,
    nodes,
    hosts,
    nodeStates: new NodeStates(nodes, hosts, inventory, () => Promise.resolve(read()), clock),
  };
}

describe('the state of a node', () => {
  it('is Gone after live reads returned 404 for 60 s, and not before', async () => {
    const { clock, nodeStates: subject } = nodeStates(() => notFound);
    expect(await subject.of('node-a')).toBe('MayRun');
    await clock.advance(59_000);
    expect(await subject.of('node-a')).toBe('MayRun');
    await clock.advance(1_000);
    expect(await subject.of('node-a')).toBe('Gone');
  });

  it('is evaluated again from the beginning when the Node was seen, or its agent connected, in between', async () => {
    let answer: Outcome<Node> = notFound;
    const { clock, inventory, nodes, nodeStates: subject } = nodeStates(() => answer);
    await subject.of('node-a');
    await clock.advance(40_000);
    nodes.set('node-a', makeNode('node-a'));
    await subject.of('node-a');
    nodes.delete('node-a');
    await clock.advance(40_000);
    expect(await subject.of('node-a')).toBe('MayRun');
    await clock.advance(40_000);
    answer = { ok: true, value: makeNode('node-a') };
    expect(await subject.of('node-a')).toBe('MayRun');
    answer = notFound;
    await clock.advance(10_000);
    await subject.of('node-a');
    inventory.begin('node-a', [], true);
    await clock.advance(100_000);
    expect(await subject.of('node-a')).toBe('MayRun');
  });

  it('is not concluded from an API server that does not answer', async () => {
    const { clock, nodeStates: subject } = nodeStates(() => unavailable);
    for (let each = 0; each < 20; each += 1) {
      await clock.advance(10_000);
      expect(await subject.of('node-a')).toBe('MayRun');
    }
  });

  it('is also Gone when the Node was created again on another machine', async () => {
    const { clock, hosts, nodes, nodeStates: subject } = nodeStates(() => ({ ok: true, value: makeNode('node-a') }));
    nodes.set('node-a', makeNode('node-a'));
    hosts.set('node-a', makeHost('node-a', { session: { epoch: 1, nodeUID: makeNode('node-a').metadata.uid } }));
    await subject.of('node-a');
    await clock.advance(70_000);
    expect(await subject.of('node-a')).toBe('MayRun');
    hosts.set('node-a', makeHost('node-a', { session: { epoch: 1, nodeUID: 'uid-of-an-earlier-one' } }));
    expect(await subject.of('node-a')).toBe('MayRun');
    await clock.advance(60_000);
    expect(await subject.of('node-a')).toBe('Gone');
  });

  it('is OutOfService when its taint says so, unless its agent is connected', async () => {
    const { inventory, nodes, nodeStates: subject } = nodeStates(() => notFound);
    const taints = [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }];
    nodes.set('node-a', makeNode('node-a', { spec: { taints } }));
    expect(await subject.of('node-a')).toBe('OutOfService');
    inventory.begin('node-a', [], true);
    expect(await subject.of('node-a')).toBe('MayRun');
  });
});

describe('inventory', () => {
  it('reports an absence as certain only while connected, after a complete enumeration, once everything was assigned', () => {
    const inventory = new Inventory(new ManualClock());
    expect(inventory.presence('node-a', someUid)).toBe('Unknown');
    inventory.begin('node-a', [], false);
    inventory.settle('node-a');
    expect(inventory.presence('node-a', someUid)).toBe('Unknown');
    inventory.begin('node-a', [], true);
    expect(inventory.presence('node-a', someUid)).toBe('Unknown');
    inventory.settle('node-a');
    expect(inventory.presence('node-a', someUid)).toBe('Absent');
    inventory.end('node-a');
    expect(inventory.presence('node-a', someUid)).toBe('Unknown');
  });

  it('remembers over a new session what was assigned and never reported', () => {
    const inventory = new Inventory(new ManualClock());
    inventory.begin('node-a', [], true);
    inventory.assigned('node-a', someUid);
    inventory.begin('node-a', [], true);
    inventory.settle('node-a');
    expect(inventory.presence('node-a', someUid)).toBe('Present');
    inventory.removed('node-a', someUid);
    expect(inventory.presence('node-a', someUid)).toBe('Absent');
  });

  it('does not treat a host that is away as having a VM', () => {
    const inventory = new Inventory(new ManualClock());
    inventory.begin('node-b', [readReport(observedMachine(someUid))], true);
    inventory.begin('node-a', [readReport(observedMachine(someUid))], true);
    expect(inventory.holdersOf(someUid)).toEqual(['node-a', 'node-b']);
    inventory.end('node-a');
    expect(inventory.holdersOf(someUid)).toEqual(['node-b']);
  });
});

describe('disconnections', () => {
  it('queue the VMs of a host after 60 s, at most 50 a second', async () => {
    const clock = new ManualClock();
    const inventory = new Inventory(clock);
    const machines = new VirtualMachines();
    for (let index = 0; index < 200; index += 1) {
      const metadata = { name: `vm-${index}`, uid: `uid-${index}` };
      machines.remember(makeMachine({ metadata, status: { nodeName: 'node-a' } }));
    }
    const woken: number[] = [];
    const hosts: string[] = [];
    const disconnections = new Disconnections({
      clock,
      inventory,
      machines,
      wakeHost: (nodeName) => hosts.push(nodeName),
      wakeMachine: (_key, milliseconds) => woken.push(milliseconds),
    });
    inventory.begin('node-a', [], true);
    inventory.end('node-a');
    disconnections.watch('node-a');
    await clock.advance(30_000);
    inventory.begin('node-a', [], true);
    await clock.advance(100_000);
    expect(hosts).toEqual([]);
    inventory.end('node-a');
    disconnections.watch('node-a');
    await clock.advance(60_000);
    expect(hosts).toEqual(['node-a']);
    expect(woken).toHaveLength(200);
    expect(Math.max(...woken)).toBe(199 * 20);
  });
});

describe("the operator's cached VMs", () => {
  it('never change to an older version, and never reappear after their deletion', () => {
    const machines = new VirtualMachines();
    const at = (resourceVersion: string, nodeName?: string) =>
      makeMachine({ metadata: { resourceVersion }, status: nodeName === undefined ? {} : { nodeName } });
    machines.remember(at('10', 'node-a'));
    machines.observe({ type: 'Applied', key: 'default/vm', object: at('9'), previous: undefined });
    expect(machines.get('default/vm')?.status.nodeName).toBe('node-a');
    expect(machines.promisedTo('node-a')).toEqual({ memoryInMB: 1_024, virtualMachines: 1 });
    machines.observe({ type: 'Deleted', key: 'default/vm', object: at('11') });
    machines.remember(at('12', 'node-a'));
    expect(machines.get('default/vm')).toBeUndefined();
    expect(machines.promisedTo('node-a')).toEqual({ memoryInMB: 0, virtualMachines: 0 });
  });

  it('follow a restored cluster, when a list shows a newer state, when a list is confirmed, or after a live read', () => {
    const told: string[] = [];
    const machines = new VirtualMachines({ expect: () => {}, distrust: () => told.push('distrust') });
    const at = (resourceVersion: string) => makeMachine({ metadata: { resourceVersion } });
    const version = () => machines.get('default/vm')?.metadata.resourceVersion;
    const list = (resourceVersion: string, outranks: 'All' | { until: string }) =>
      machines.observe({
        type: 'Applied',
        key: 'default/vm',
        object: at(resourceVersion),
        previous: undefined,
        outranks,
      });
    machines.remember(at('10'));
    list('8', { until: '9' }); // this write is newer than the list
    expect(version()).toBe('10');
    list('8', { until: '20' });
    expect(version()).toBe('8');
    list('5', 'All');
    expect(version()).toBe('5');
    machines.rememberLive(at('7'), at('5'));
    expect([version(), told]).toEqual(['7', []]);
    machines.rememberLive(at('3'), at('7'));
    expect([version(), told]).toEqual(['3', ['distrust']]);
    machines.observe({ type: 'Deleted', key: 'default/vm', object: at('30') });
    list('4', 'All');
    expect(version()).toBe('4');
  });

  it('follow a name to its next object', () => {
    const machines = new VirtualMachines();
    machines.remember(makeMachine({ metadata: { uid: 'first', resourceVersion: '9' } }));
    machines.remember(makeMachine({ metadata: { uid: 'second', resourceVersion: '10' } }));
    expect(machines.keyOfUid('first')).toBeUndefined();
    expect(machines.byUid('second')?.metadata.resourceVersion).toBe('10');
    machines.observe({ type: 'Deleted', key: 'default/vm', object: makeMachine({ metadata: { uid: 'first' } }) });
    expect(machines.get('default/vm')?.metadata.uid).toBe('second');
  });
});
