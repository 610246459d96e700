import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../../crds/linux-utility-vm.ts';
import {
  nextChange,
  type SetVerdict,
  type SetView,
  setStatus,
} from '../../../../operator/controller/sets/set-status.ts';
import { nextStatus } from '../../../../operator/controller/status/status.ts';
import { kstatusOf } from '../../../support/charts/kstatus.ts';
import { makeMachine, makeSet } from '../../../support/operator/objects.ts';
import { observedMachine } from '../../../support/operator/scripted-agent.ts';
import { condition, downAtA, judged, labels, now, ready, upAtA, view } from '../../../support/operator/set-views.ts';

describe('a VM of a set', () => {
  it('is available once it was ready for long enough', () => {
    expect(judged(upAtA)).toMatchObject({ isReady: true, isAvailable: true, wasReady: true });
    const waiting = judged(upAtA, {}, { minReadySeconds: 3_601 });
    expect(waiting).toMatchObject({ isReady: true, isAvailable: false, availableAt: now + 1_000 });
    // A restart that was so fast that Ready never changed.
    const restarted = { ...upAtA, startTime: '2026-01-01T11:59:59Z' };
    expect(judged(restarted, {}, { minReadySeconds: 10 })).toMatchObject({ isAvailable: false });
  });

  it('is unavailable from the write that takes it away', () => {
    expect(judged(upAtA, { annotations: { 'lcow.dev/restartedAt': 'x' } })).toMatchObject({ isRestarting: true });
    const handled = { ...upAtA, restartedAt: 'x' };
    expect(judged(handled, { annotations: { 'lcow.dev/restartedAt': 'x' } })).toMatchObject({ isRestarting: false });
    expect(judged(upAtA, {}, { isDeleted: true })).toMatchObject({ isDeleting: true, isAvailable: false });
    const evicting = condition('Evicting', 'True', 'DrainAllowed', '');
    expect(judged({ ...upAtA, conditions: [ready, evicting] })).toMatchObject({ isEvicting: true });
  });

  it('was never ready at a revision that it got since, and nobody knows about a host that is away', () => {
    const changed = judged({ ...upAtA, readyRevision: 'b' });
    expect(changed).toMatchObject({ wasReady: false, wasReadyBefore: true });
    const away = condition('Ready', 'Unknown', 'HostDisconnected', '');
    expect(judged({ ...upAtA, conditions: [away] })).toMatchObject({ isAway: true, isAvailable: false });
  });

  it('is replaced once its start has failed often enough and for long enough', () => {
    const failing = (count: number) => judged({ ...downAtA, startFailure: { count } }, {}, { replacement });
    const replacement = { startFailures: 3, milliseconds: 3_600_000 };
    expect(failing(3)).toMatchObject({ isToReplace: true, replaceAt: undefined });
    expect(failing(2)).toMatchObject({ isToReplace: false, replaceAt: undefined });
    const later = { replacement: { ...replacement, milliseconds: 3_600_500 } };
    const early = judged({ ...downAtA, startFailure: { count: 3 } }, {}, later);
    expect(early).toMatchObject({ isToReplace: false, replaceAt: now + 500 });
    expect(judged({ ...upAtA, startFailure: { count: 3 } }, {}, { replacement }).isToReplace).toBe(false);
  });

  it('that is to stop is not available because it ran before', () => {
    const object = makeMachine({ spec: { runStrategy: 'Halted' }, status: upAtA, metadata: { labels } });
    expect(judged(upAtA, {}, { object })).toMatchObject({ isReady: false });
  });
});

describe('the status of a VM remembers its revision', () => {
  const next = (changes: { observed?: object; metadata?: object; status?: LinuxUtilityVMStatus; more?: object }) => {
    const status = { nodeName: 'n', phase: 'Running', observedGeneration: 1, ...changes.status } as const;
    const object = makeMachine({ status, metadata: { labels, ...changes.metadata } });
    return nextStatus({
      object,
      nodeName: 'n',
      scheduled: { reason: 'Scheduled', message: '' },
      report: {
        observed: observedMachine(object.metadata.uid, { generation: 1, ...changes.observed }),
        failure: undefined,
      },
      disconnected: false,
      blocked: undefined,
      terminating: undefined,
      now,
      ...changes.more,
    });
  };

  it('when it is ready with its current generation, with every restart handled and none required', () => {
    expect(next({}).readyRevision).toBe('a');
    const before = { status: { readyRevision: 'z' } };
    expect(next({ ...before, metadata: { generation: 2 } }).readyRevision).toBe('z');
    const annotations = { 'lcow.dev/restartedAt': 'x' };
    expect(next({ ...before, metadata: { annotations } }).readyRevision).toBe('z');
    expect(next({ ...before, metadata: { annotations }, observed: { restartedAt: 'x' } }).readyRevision).toBe('a');
    expect(next({ metadata: { labels: {} } }).readyRevision).toBeUndefined();
  });

  it('and keeps a grant until the VM has left its host or the drain is over', () => {
    const evicting = { reason: 'DrainAllowed', message: '' } as const;
    const has = (status: LinuxUtilityVMStatus) => status.conditions?.some(({ type }) => type === 'Evicting');
    const granted = next({ more: { evicting } });
    expect(has(granted)).toBe(true);
    expect(has(next({ status: granted }))).toBe(true);
    expect(has(next({ status: granted, more: { evicting: 'Over' } }))).toBe(false);
    expect(has(next({ status: granted, more: { nodeName: undefined, report: undefined } }))).toBe(false);
  });
});

describe('the status of a set', () => {
  const judgedBy = (given: SetView | undefined, verdict?: SetVerdict, set = makeSet('x')) => {
    const status = setStatus(set, given, verdict, now);
    const reason = status.conditions?.find(({ type }) => type === 'Ready')?.reason;
    return [kstatusOf({ ...set, status }), reason];
  };
  const seen = makeSet('x', { status: { observedGeneration: 1, replicas: 2, updateRevision: 'a' } });

  it('is ready when every VM is as it may be', () => {
    expect(judgedBy(view([upAtA, upAtA]))).toEqual(['Current', 'Complete']);
    expect(judgedBy(view([]))).toEqual(['Current', 'Complete']);
    expect(judgedBy(view([upAtA, downAtA]))).toEqual(['InProgress', 'Progressing']);
    expect(judgedBy(view([upAtA, undefined]))).toEqual(['InProgress', 'Progressing']);
  });

  it('says from the first write that it is in progress, and stalls for what does not mend itself', () => {
    const [first] = setStatus(makeSet('x'), view([downAtA]), undefined, now).conditions ?? [];
    expect(first).toMatchObject({ type: 'Ready', status: 'Unknown' });
    for (const reason of ['TemplateInvalid', 'NameConflict', 'LiveChangeRefused', 'OrdinalsInvalid'] as const) {
      expect(judgedBy(view([upAtA]), { reason, message: '' })).toEqual(['Failed', reason]);
      expect(judgedBy(undefined, { reason, message: '' })).toEqual(['Failed', reason]);
    }
    expect(judgedBy(view([upAtA, undefined]), { reason: 'CreateRefused', message: '' })).toEqual([
      'InProgress',
      'CreateRefused',
    ]);
  });

  it('stalls when nothing progressed for too long, and not while the rollout is paused', () => {
    const rollout = { progressedAt: '2026-01-01T11:50:00Z' };
    const late = makeSet('x', {
      status: { ...seen.status, availableReplicas: 1, updatedReplicas: 2, updatedAvailableReplicas: 1, rollout },
    });
    const given = view([upAtA, downAtA]);
    expect(judgedBy(given, undefined, late)).toEqual(['Failed', 'ProgressDeadlineExceeded']);
    expect(judgedBy({ ...given, paused: true }, undefined, late)).toEqual(['InProgress', 'Progressing']);
    const more = makeSet('x', { status: { ...late.status, availableReplicas: 0 } });
    expect(judgedBy(given, undefined, more)).toEqual(['InProgress', 'Progressing']);
    expect(nextChange(given, setStatus(more, given, undefined, now), now)).toBe(600_000);
  });

  it('counts, and says what the budget leaves', () => {
    const status = setStatus(seen, view([upAtA, downAtA, undefined], { maxUnavailable: 2 }), undefined, now);
    expect(status).toMatchObject({
      ...{ replicas: 2, readyReplicas: 1, availableReplicas: 1, updatedReplicas: 2, updatedAvailableReplicas: 1 },
      ...{ disruptionsAllowed: 0, selector: 'lcow.dev/set=x', rollout: { target: 3, done: 1 } },
    });
    expect(status.conditions?.find(({ type }) => type === 'Available')).toMatchObject({ status: 'True' });
  });
});
