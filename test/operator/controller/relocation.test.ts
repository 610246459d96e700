// The steps by which a VM leaves its host.
import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Leaving } from '../../../operator/controller/leaving.ts';
import { Relocation } from '../../../operator/controller/relocation.ts';
import type { Verdict } from '../../../operator/controller/status/status.ts';
import { connectionError, failed, succeeded } from '../../../operator/kubernetes/api-error.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine, makeNode, someUid } from '../../support/operator/objects.ts';

const nodeName = 'node-a';
const drained: Verdict = { reason: 'HostDrained', message: 'node-a is being drained' };
const lacking: Verdict = { reason: 'InsufficientResources', message: 'node-a has not the resources' };
const lastTransitionTime = '2026-01-01T00:00:00Z';

function placed(reason: string, changes: LinuxUtilityVMStatus = {}): VirtualMachine {
  const scheduled = { type: 'Scheduled', status: 'True', reason, message: 'm', lastTransitionTime } as const;
  return makeMachine({ status: { nodeName, conditions: [scheduled], ...changes } });
}

interface Situation {
  readonly object: VirtualMachine;
  readonly verdict?: Verdict;
  readonly isOnHost?: boolean;
  readonly live?: VirtualMachine | 'unreadable';
  readonly isStillDrained?: boolean;
  readonly stillLacksResources?: boolean;
  readonly hasReleased?: boolean;
}

function nextStep({
  object,
  verdict = drained,
  isOnHost = true,
  live = object,
  isStillDrained = true,
  stillLacksResources = true,
  hasReleased = false,
}: Situation) {
  const inventory = new Inventory(new ManualClock());
  inventory.begin(nodeName, isOnHost ? [readReport({ uid: someUid })] : [], true);
  inventory.settle(nodeName);
  const relocation = new Relocation({
    client: {
      get: async () => (live === 'unreadable' ? failed(connectionError('ConnectionFailed', 'x')) : succeeded(live)),
    },
    readNode: async () => succeeded(makeNode(nodeName)),
    inventory,
    evictions: { confirms: () => isStillDrained, lacksResources: () => stillLacksResources },
    agents: { hasReleased: () => hasReleased },
  });
  return relocation.next(object, nodeName, verdict);
}

describe('a VM that leaves its host', () => {
  it.each([
    ['Scheduled', 'HostDrained'],
    ['Admitted', 'HostDrained'],
    ['Halted', 'Halted'],
    ['Completed', 'Completed'],
    ['HostDrained', 'HostDrained'],
  ])('which it no longer is on keeps the reason for which it rests: %s', async (stored, reason) => {
    const step = await nextStep({ object: placed(stored), isOnHost: false });
    expect(step).toEqual({
      kind: 'Leave',
      scheduled: { reason, message: 'left its host: node-a is being drained; looking for another one' },
    });
  });

  it('is released after live reads, and not read again once the release was sent', async () => {
    expect(await nextStep({ object: placed('Scheduled') })).toEqual({ kind: 'Release' });
    expect(await nextStep({ object: placed('Scheduled'), hasReleased: true, live: 'unreadable' })).toEqual({
      kind: 'Release',
    });
  });

  it('is released by a host that still lacks resources for it', async () => {
    expect(await nextStep({ object: placed('Scheduled'), verdict: lacking })).toEqual({ kind: 'Release' });
  });

  it.each<[string, Partial<Situation>]>([
    ['the host is drained no longer', { isStillDrained: false }],
    ['it has come up on the host that lacked resources', { verdict: lacking, stillLacksResources: false }],
    ['it left already', { live: makeMachine({ status: {} }) }],
    ['it is on another host', { live: placed('Scheduled', { nodeName: 'node-b' }) }],
    ['another VM has its name', { live: makeMachine({ status: { nodeName }, metadata: { uid: 'another' } }) }],
    [
      'it is being deleted',
      { live: makeMachine({ status: { nodeName }, metadata: { deletionTimestamp: lastTransitionTime } }) },
    ],
  ])('stays if %s', async (_what, changes) => {
    expect(await nextStep({ object: placed('Scheduled'), ...changes })).toEqual({ kind: 'Stay' });
  });

  it('is left alone while the API server does not answer', async () => {
    expect(await nextStep({ object: placed('Scheduled'), live: 'unreadable' })).toMatchObject({ kind: 'Unknown' });
  });
});

it('a VM whose host is gone has left it, also when the answer to the write is lost', async () => {
  const left: string[] = [];
  const leaving = new Leaving({
    inventory: { isConnected: () => false },
    nodeStates: { of: async () => 'Gone' },
    relocation: { next: async () => ({ kind: 'Stay' }) },
    agents: { release: () => undefined },
    writes: { status: async () => ({ object: undefined, result: { kind: 'Retry', error: 'no answer' } }) },
    left: (uid) => left.push(uid),
  });
  expect(await leaving.whileDisconnected(placed('Scheduled'), nodeName)).toMatchObject({ kind: 'Retry' });
  expect(left).toEqual([someUid]);
});
