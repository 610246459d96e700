import { describe, expect, it } from 'vitest';
import type { Toleration } from '../../../crds/linux-utility-vm.ts';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { taintEvictionOf } from '../../../operator/controller/knowledge/taints.ts';
import { Evictions } from '../../../operator/controller/placement/evictions.ts';
import type { Node, Taint } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine, makeNode, someUid } from '../../support/operator/objects.ts';
import { observedMachine } from '../../support/operator/scripted-agent.ts';

const drain: Taint = { key: 'lcow.dev/drain', effect: 'NoExecute' };
const added = '2026-01-01T00:00:00Z';
const noticed = Date.parse('2026-01-02T00:00:00Z');
const tolerates = (seconds?: number): Toleration => ({
  key: drain.key,
  operator: 'Exists',
  ...(seconds === undefined ? {} : { tolerationSeconds: seconds, effect: 'NoExecute' }),
});

describe('an eviction', () => {
  it.each<[string, readonly Taint[], readonly Toleration[], number | undefined]>([
    ['no taint', [], [], undefined],
    ['a taint that nobody tolerates', [drain], [], 0],
    ['one that is tolerated', [drain], [tolerates()], undefined],
    [
      'one that is tolerated for a while',
      [{ ...drain, timeAdded: added }],
      [tolerates(60)],
      Date.parse(added) + 60_000,
    ],
    ['one without a time', [drain], [tolerates(60)], noticed + 60_000],
    ['the shortest of several tolerations', [drain], [tolerates(), tolerates(60), tolerates(30)], noticed + 30_000],
    ['a toleration of zero seconds', [drain], [tolerates(0)], 0],
    ['the first of several taints', [{ ...drain }, { key: 'other', effect: 'NoExecute' }], [tolerates(60)], 0],
    ['effects other than NoExecute', [{ ...drain, effect: 'NoSchedule' }], [], undefined],
    [
      'what a kubelet that hiccups adds',
      [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }],
      [],
      undefined,
    ],
    ['out of service', [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }], [], 0],
    ['a toleration of everything', [drain], [{ operator: 'Exists' }], undefined],
    ['a toleration of another value', [{ ...drain, value: 'a' }], [{ key: drain.key, value: 'b' }], 0],
    ['a toleration of that value', [{ ...drain, value: 'a' }], [{ key: drain.key, value: 'a' }], undefined],
  ])('%s', (_name, taints, tolerations, due) => {
    expect(taintEvictionOf(taints, tolerations, () => noticed)?.due).toBe(due);
  });
});

describe('an eviction of a VM', () => {
  function subject(taints: readonly Taint[] = []) {
    const clock = new ManualClock();
    const inventory = new Inventory(clock);
    const nodes = new Map<string, Node>([['node-a', makeNode('node-a', { spec: { taints: [...taints] } })]]);
    return { clock, inventory, nodes, evictions: new Evictions(nodes, inventory, clock) };
  }
  const somewhere = () => true;
  const nowhere = () => false;

  it('halts pinned VMs, moves others, and ends with the taint', () => {
    const { nodes, evictions } = subject([drain]);
    const pinned = makeMachine({ spec: { nodeName: 'node-a' } });
    expect(evictions.of(pinned, 'node-a', somewhere)).toMatchObject({
      kind: 'Halt',
      verdict: { reason: 'HostDrained' },
    });
    expect(evictions.of(makeMachine(), 'node-a', somewhere).kind).toBe('Move');
    nodes.set('node-a', makeNode('node-a'));
    expect(evictions.of(pinned, 'node-a', somewhere).kind).toBe('None');
  });

  it('comes when a toleration expires, and keeps the VM from coming back', async () => {
    const { clock, nodes, evictions } = subject([drain]);
    const patient = makeMachine({ spec: { tolerations: [tolerates(60)] } });
    expect(evictions.of(patient, 'node-a', somewhere)).toEqual({ kind: 'Later', milliseconds: 60_000 });
    const outlasted = () => evictions.outlasted(makeNode('node-a', nodes.get('node-a')), [tolerates(60)]);
    expect(outlasted()).toBeUndefined();
    await clock.advance(60_000);
    expect(evictions.of(patient, 'node-a', somewhere).kind).toBe('Move');
    expect(outlasted()).toContain('expired');
  });

  it('for lack of resources applies only to VMs that were never created, and only if another host has room', async () => {
    const { clock, inventory, evictions } = subject();
    const lacking = {
      type: 'Created',
      status: 'False',
      reason: 'InsufficientResources',
      message: 'no memory',
    } as const;
    const { startTime, ...neverStarted } = observedMachine(someUid, { phase: 'Failed', conditions: [lacking] });
    inventory.begin('node-a', [readReport(neverStarted)], true);
    const machine = makeMachine();
    expect(evictions.of(machine, 'node-a', nowhere).kind).toBe('Later');
    expect(evictions.of(machine, 'node-a', somewhere).kind).toBe('Move');
    expect(evictions.lackingFor(someUid)).toEqual(['node-a']);
    await clock.advance(11 * 60_000);
    expect(evictions.lackingFor(someUid)).toEqual([]);
    const ready = { ...lacking, type: 'Ready' } as const;
    inventory.begin('node-a', [readReport({ ...neverStarted, conditions: [ready] })], true);
    expect(evictions.of(machine, 'node-a', somewhere).kind).toBe('Move');
    const started = makeMachine({ status: { startTime: added } });
    expect(evictions.of(started, 'node-a', somewhere).kind).toBe('None');
    expect(evictions.of(makeMachine({ spec: { nodeName: 'node-a' } }), 'node-a', somewhere).kind).toBe('None');
  });

  it.each([
    ['was up on another host only', false, '2026-11-24T10:00:00.000Z', 'Move'],
    ['was up here, as its agent knows', true, '2026-11-24T10:00:00.000Z', 'None'],
    ['was up here, and its journal was lost', false, '2026-11-24T12:00:00.000Z', 'None'],
    ['has an agent that does not tell', undefined, '2026-11-24T10:00:00.000Z', 'None'],
  ] as const)('for lack of resources of a VM that %s', (_, startedOnHost, startTime, kind) => {
    const { inventory, evictions } = subject();
    const lacking = { type: 'Ready', status: 'False', reason: 'InsufficientResources', message: 'no memory' } as const;
    const observed = observedMachine(someUid, { phase: 'Failed', conditions: [lacking], startTime, startedOnHost });
    inventory.begin('node-a', [readReport(observed)], true);
    const scheduled = {
      type: 'Scheduled',
      status: 'True',
      reason: 'Scheduled',
      message: '',
      lastTransitionTime: '2026-11-24T11:00:00.000Z',
    } as const;
    const machine = makeMachine({ status: { startTime, conditions: [scheduled] } });
    expect(evictions.of(machine, 'node-a', somewhere).kind).toBe(kind);
  });
});
