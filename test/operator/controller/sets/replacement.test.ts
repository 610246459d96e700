import { describe, expect, it } from 'vitest';
import { revisionLabel } from '../../../../crds/linux-utility-vm.ts';
import { SetMemory } from '../../../../operator/controller/sets/set-memory.ts';
import { SetViews } from '../../../../operator/controller/sets/set-view.ts';
import type { VirtualMachine } from '../../../../operator/kubernetes/objects.ts';
import { makeMachine, makeSet } from '../../../support/operator/objects.ts';
import { condition, now } from '../../../support/operator/set-views.ts';

const notReady = condition('Ready', 'False', 'StartFailed', '2026-01-01T11:50:00Z');
const failing = (spec: object = {}) =>
  makeMachine({
    spec,
    status: { observedGeneration: 1, startFailure: { count: 3 }, conditions: [notReady] },
    metadata: { name: 'x-0', labels: { [revisionLabel]: 'x-1' } },
  });

/** Ten minutes after the VM was ready last. */
function actionsFor(object: VirtualMachine, replacements: number, more: object = { replacement: {} }) {
  const set = makeSet('x', { spec: { replicas: 1, ...more } });
  if (!set.spec.ok) throw new Error(set.spec.message);
  const { value: spec } = set.spec;
  const update = { metadata: { ...set.metadata, name: 'x-1' }, number: 1, template: spec.template };
  const views = new SetViews({
    ...{ set, spec, wanted: [0], revisions: { update, all: [update], collisionCount: 0 }, now },
    members: { own: [{ object, ordinal: 0 }], toAdopt: [], toRelease: [], taken: new Set<number>() },
    ...{ isDeleted: () => false, isToLeave: () => false, replacementsOf: () => replacements },
  });
  return views.view().plan.actions;
}

const replaced = [{ kind: 'Delete', name: 'x-0', why: 'Replace' }];
const disk = (readOnly: boolean) => ({ storage: { disks: [{ name: 'd', path: 'C:\\d.vhdx', readOnly }] } });

describe('a VM whose start fails', () => {
  it('is replaced if the set asks for it, after twice the time for each replacement before', () => {
    expect(actionsFor(failing(), 0)).toEqual(replaced);
    expect(actionsFor(failing(), 1)).toEqual(replaced);
    expect(actionsFor(failing(), 2)).toEqual([]);
    expect(actionsFor(failing(), 0, { replacement: { afterStartFailures: 4 } })).toEqual([]);
    expect(actionsFor(failing(), 5_000, { replacement: { afterSeconds: 1 } })).toEqual([]);
    expect(actionsFor(failing(), 0, {})).toEqual([]);
  });

  it('is not replaced while a writable disk may hold what no other VM has', () => {
    expect(actionsFor(failing(disk(false)), 0)).toEqual([]);
    expect(actionsFor(failing(disk(true)), 0)).toEqual(replaced);
  });
});

describe('the replacements of an ordinal', () => {
  it('are counted until its VM is available or not wanted any more', () => {
    const memory = new SetMemory();
    for (const ordinal of [1, 1, 2, 3]) memory.replaced(ordinal, `host-${ordinal}`);
    expect([0, 1, 2].map((ordinal) => memory.replacementsOf(ordinal))).toEqual([0, 2, 1]);
    memory.reviewReplacements([0, 1, 2], new Set([2]));
    expect(memory.replacedOn(1)).toBe('host-1');
    expect([1, 2, 3].map((ordinal) => memory.replacementsOf(ordinal))).toEqual([2, 0, 0]);
  });
});
